package nbdhelper_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firstlight/internal/nbd"
	"firstlight/internal/nbdhelper"
	"firstlight/internal/nbdtls"
	"firstlight/internal/nbdup"
	"firstlight/internal/testtool"
)

// startServer starts Debian's nbd-server with one export, and returns its port.
func startServer(t *testing.T, general string) (port uint16, content []byte) {
	t.Helper()
	testtool.Need(t, "nbd-server")
	dir := t.TempDir()
	content = make([]byte, 1<<20)
	rand.Read(content)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free now
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).AddrPort().Port()
	l.Close()
	file, conf, pid := filepath.Join(dir, "disk"), filepath.Join(dir, "conf"), filepath.Join(dir, "pid")
	text := "[generic]\nallowlist=true\nlistenaddr=127.0.0.1\nport=" + strconv.Itoa(int(port)) + "\n" + general + "[disk]\nexportname=" + file + "\n"
	if err := errors.Join(os.WriteFile(file, content, 0o600), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("nbd-server", "-C", conf, "-p", pid).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		b, _ := os.ReadFile(pid)
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 1 {
			syscall.Kill(n, syscall.SIGTERM)
		}
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(int(port))); err == nil {
			c.Close()
			return port, content
		}
		if time.Now().After(end) {
			t.Fatal("nbd-server does not listen")
		}
	}
}

// read reads from an export as the kernel does.
func read(t *testing.T, fd int, at uint64, n uint32) []byte {
	t.Helper()
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	request := binary.BigEndian.AppendUint32(nil, 0x25609513)
	request = binary.BigEndian.AppendUint32(request, 0) // read
	request = binary.BigEndian.AppendUint64(request, 77)
	request = binary.BigEndian.AppendUint64(request, at)
	request = binary.BigEndian.AppendUint32(request, n)
	if _, err := f.Write(request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 16+n)
	if _, err := io.ReadFull(f, answer); err != nil {
		t.Fatal(err)
	}
	if binary.BigEndian.Uint32(answer) != 0x67446698 || binary.BigEndian.Uint32(answer[4:]) != 0 || binary.BigEndian.Uint64(answer[8:]) != 77 {
		t.Fatalf("answer %x", answer[:16])
	}
	return answer[16:]
}

func target(port uint16, export string) nbdup.Target {
	o, _ := nbdup.ParseOptions("")
	return nbdup.Target{Server: netip.MustParseAddr("127.0.0.1"), Port: port, Export: export, Options: o}
}

func TestDebiansServer(t *testing.T) {
	port, content := startServer(t, "")
	fd, info, err := nbdhelper.Connect(target(port, "disk"), nil)
	if err != nil || info.Size != uint64(len(content)) || info.Flags&nbd.FlagHas == 0 {
		t.Fatalf("%+v, %v", info, err)
	}
	if got := read(t, fd, 4096, 8192); !bytes.Equal(got, content[4096:12288]) {
		t.Error("something else was read")
	}
	var refused *nbd.RefusedError
	if _, _, err := nbdhelper.Connect(target(port, "disc"), nil); !errors.As(err, &refused) || refused.Code != nbd.CodeUnknown || strings.Join(refused.Exports, " ") != "disk" {
		t.Errorf("%v, %+v", err, refused)
	}
	encrypted := target(port, "disk")
	encrypted.TLS = true
	if _, _, err := nbdhelper.Connect(encrypted, nil); !errors.Is(err, nbdhelper.ErrNoTLS) {
		t.Errorf("%v", err)
	}
	if _, _, err := nbdhelper.Connect(encrypted, nbdtls.TLS{}); !errors.Is(err, nbd.ErrNoTLS) {
		t.Errorf("%v", err)
	}
	var connect *nbdup.ConnectError
	if _, _, err := nbdhelper.Connect(target(1, "disk"), nil); !errors.As(err, &connect) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}

// issue makes a certificate and its key, as files in a directory.
func issue(t *testing.T, dir, name string, by *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name}}
	if by == nil {
		by, key, c.IsCA, c.KeyUsage = c, own, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &own.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	for ext, b := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name+ext), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c, own
}

func TestDebiansServerWithTLS(t *testing.T) {
	dir := t.TempDir()
	ca, key := issue(t, dir, "authority", nil, nil)
	issue(t, dir, "stranger", nil, nil)
	issue(t, dir, "server", ca, key)
	issue(t, dir, "client", ca, key)
	port, content := startServer(t, "certfile="+dir+"/server.pem\nkeyfile="+dir+"/server.key\ncacertfile="+dir+"/authority.pem\nforce_tls=true\n")
	x := target(port, "disk")
	x.TLS, x.CA, x.Cert, x.Key = true, dir+"/authority.pem", dir+"/client.pem", dir+"/client.key"
	for _, host := range []string{"", "server"} {
		x.Host = host
		fd, info, err := nbdhelper.Connect(x, nbdtls.TLS{})
		if err != nil || info.Size != uint64(len(content)) || !info.Secure {
			t.Fatalf("%q: %+v, %v", host, info, err)
		}
		if got := read(t, fd, 512<<10, 256<<10); !bytes.Equal(got, content[512<<10:768<<10]) {
			t.Error("something else was read")
		}
	}
	var refused *nbd.RefusedError
	if _, _, err := nbdhelper.Connect(target(port, "disk"), nil); !errors.As(err, &refused) || refused.Code != nbd.CodeTLSRequired {
		t.Errorf("without encryption: %v", err)
	}
	// Debian's ends a connection without a certificate, when it has been made.
	bare := x
	bare.Cert, bare.Key = "", ""
	if _, _, err := nbdhelper.Connect(bare, nbdtls.TLS{}); !errors.Is(err, nbd.ErrHangsUp) {
		t.Errorf("without a certificate: %v", err)
	}
	var tls *nbdup.TLSError
	other := x
	other.Host = "elsewhere"
	if _, _, err := nbdhelper.Connect(other, nbdtls.TLS{}); !errors.As(err, &tls) {
		t.Errorf("another name: %v", err)
	}
	other = x
	other.CA = dir + "/stranger.pem"
	if _, _, err := nbdhelper.Connect(other, nbdtls.TLS{}); !errors.As(err, &tls) {
		t.Errorf("another authority: %v", err)
	}
	other.CA = dir + "/nothing.pem"
	if _, _, err := nbdhelper.Connect(other, nbdtls.TLS{}); !errors.As(err, &tls) {
		t.Errorf("no authority: %v", err)
	}
}

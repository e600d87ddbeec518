package nfs

import (
	"errors"
	"strings"
	"testing"
)

const server = "10.0.0.1"

func TestVersionsAreTriedFromTheNewestThatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		options string
		only4   bool
		want    string
	}{
		{"", false, "4.2 4.1 4.0 3"}, {"", true, "4.2 4.1 4.0"}, {"vers=3", false, "3"}, {"nfsvers=4", false, "4.2 4.1 4.0"},
		{"v4.1", false, "4.1"}, {"vers=4,minorversion=0", false, "4.0"}, {"ro,v3,hard", false, "3"},
	} {
		tries, err := Source{Server: server, Path: "/x", Options: c.options, Only4: c.only4}.Tries("")
		var got []string
		for _, x := range tries {
			got = append(got, x.Version)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v", c.options, got, err)
		}
	}
	for _, bad := range []Source{{Server: server, Path: "x"}, {Server: "10.0.0.1,x", Path: "/x"}, {Path: "/x"}, {Server: server, Path: "/x", Options: "vers=5"}, {Server: server, Path: "/x", Options: "a b"}, {Server: server, Path: "/x", Options: "vers=3", Only4: true}, {Server: server, Path: "/x", Options: "v2"}} {
		if _, err := bad.Tries(""); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestWhatTheKernelIsTold(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{"vers=3,rsize=8192,ro", "vers=3,addr=10.0.0.1,nolock,proto=tcp,mountproto=tcp,rsize=8192"},
		{"vers=3,udp,lock", "vers=3,addr=10.0.0.1,udp,lock"},
		{"vers=4.2,_netdev,x-a=b,port=2049", "vers=4.2,addr=10.0.0.1,port=2049"},
		{"vers=4.0", "vers=4.0,addr=10.0.0.1,clientaddr=10.0.0.9"},
	} {
		tries, err := Source{Server: server, Path: "/srv", Options: c.options}.Tries("10.0.0.9")
		if err != nil || len(tries) != 1 || tries[0].Data != c.want || tries[0].Source != "10.0.0.1:/srv" {
			t.Errorf("%q: %+v, %v", c.options, tries, err)
		}
	}
	six, err := Source{Server: "fd00::1", Path: "/srv", Options: "vers=4.2"}.Tries("")
	if err != nil || six[0].Source != "[fd00::1]:/srv" {
		t.Errorf("%+v, %v", six, err)
	}
	six, err = Source{Server: "fe80::1%eth0", Path: "/srv", Options: "vers=3"}.Tries("")
	if err != nil || six[0].Source != "[fe80::1%eth0]:/srv" || six[0].Data != "vers=3,addr=fe80::1%eth0,nolock,proto=tcp6,mountproto=tcp6" {
		t.Errorf("%+v, %v", six, err)
	}
}

func TestWhatWantsKerberos(t *testing.T) {
	for options, want := range map[string]string{"": "", "ro,sec=sys": "", "sec=krb5": "krb5", "vers=4.2,sec=krb5p,ro": "krb5p", "sec=krb5,sec=sys": "", "sec=sys:krb5i": "krb5i", "secure=krb5": ""} {
		if got := Kerberos(options); got != want {
			t.Errorf("%q: %q, want %q", options, got, want)
		}
	}
	tries, err := Source{Server: server, Path: "/srv", Options: "vers=4.2,sec=krb5p"}.Tries("")
	if err != nil || tries[0].Data != "vers=4.2,addr=10.0.0.1,sec=krb5p" {
		t.Errorf("%+v, %v", tries, err)
	}
	// Below an overlay the attributes are kept, if nobody says for how long.
	for options, want := range map[string]string{"sec=krb5": ",sec=krb5,nocto,actimeo=2000000", "sec=krb5,acregmin=5": ",sec=krb5,acregmin=5,nocto", "sec=krb5,noac,cto": ",sec=krb5,noac,cto", "": "", "sec=sys": ",sec=sys"} {
		tries, err := Source{Server: server, Path: "/srv", Options: options, Below: true}.Tries("")
		if err != nil || tries[0].Data != "vers=4.2,addr=10.0.0.1"+want {
			t.Errorf("%q: %+v, %v", options, tries, err)
		}
	}
	text, try := Explain(errors.New("permission denied"), Source{Server: server, Path: "/srv", Options: "sec=krb5p"})
	if !strings.Contains(text, "no ticket") || !strings.Contains(try, "sec=krb5p") {
		t.Errorf("%q, %q", text, try)
	}
}

func TestWhatAsksForRDMA(t *testing.T) {
	for options, want := range map[string]bool{"": false, "rdma": true, "vers=4.2,proto=rdma,port=20049": true, "proto=rdma6": true, "proto=tcp": false, "rdma,proto=tcp": false, "rdmax": false} {
		if got := RDMA(options); got != want {
			t.Errorf("%q: %t", options, got)
		}
	}
	three, err := Source{Server: server, Path: "/srv", Options: "vers=3,proto=rdma"}.Tries("")
	if err != nil || three[0].Data != "vers=3,addr=10.0.0.1,nolock,proto=rdma" { // the kernel has the mount protocol by TCP then
		t.Errorf("%+v, %v", three, err)
	}
}

func FuzzTries(f *testing.F) {
	f.Add("/srv/root", "vers=4,rw,hard")
	f.Fuzz(func(t *testing.T, path, options string) {
		tries, err := Source{Server: server, Path: path, Options: options}.Tries("")
		if err != nil {
			return
		}
		for _, x := range tries {
			if !strings.HasPrefix(x.Data, "vers="+x.Version+",addr=10.0.0.1") || strings.ContainsAny(x.Data, "\x00\n ") {
				t.Fatalf("%+v", x)
			}
		}
	})
}

package network

import (
	"strings"

	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// hand leaves what the real system needs to go on with a link: the lease in the
// form of initramfs-tools and klibc's ipconfig, and a file for systemd-networkd
// that keeps it from taking the addresses away.
func (h *Handler) hand(t *ueventd.Task, r *netreport.Report) {
	for _, f := range [...]struct{ name, text string }{
		{"/run/net-" + r.Link + ".conf", ipconfig(r)},
		{"/run/systemd/network/zzzz-firstlight-" + r.Link + ".network", networkd(r)},
	} {
		err := ueventd.Act(t, "write "+f.name, func(m machine.Machine) error { return m.WriteFile(f.name, []byte(f.text), 0o644) })
		if err != nil {
			t.Record("decision", "the real system is not told of "+r.Link+": "+err.Error())
		}
	}
}

// ipconfig is the file that scripts of the real system and of initramfs-tools
// read as shell assignments. What a server has sent and could be anything else
// in a shell is left out.
func ipconfig(r *netreport.Report) string {
	var b strings.Builder
	set := func(name, value string) {
		for _, c := range []byte(value) {
			if c <= ' ' || c >= 0x7f || strings.IndexByte("'\"\\`$;&|<>(){}*?!#~", c) >= 0 {
				value = ""
				break
			}
		}
		b.WriteString(name + "='" + value + "'\n")
	}
	addr, _, _ := strings.Cut(r.Get("addr"), "/")
	if strings.Contains(addr, ":") {
		addr = "" // the file is of IPv4 alone
	}
	dns := [2]string{"0.0.0.0", "0.0.0.0"}
	n := 0
	for _, f := range r.Fields {
		if f.Name == "dns" && n < len(dns) {
			dns[n] = f.Value
			n++
		}
	}
	or := func(v, other string) string {
		if v == "" {
			return other
		}
		return v
	}
	set("DEVICE", r.Link)
	set("PROTO", or(r.Get("proto"), "none"))
	set("IPV4ADDR", addr)
	set("IPV4BROADCAST", r.Get("broadcast"))
	set("IPV4NETMASK", r.Get("netmask"))
	set("IPV4GATEWAY", or(r.Get("gateway"), "0.0.0.0"))
	set("IPV4DNS0", dns[0])
	set("IPV4DNS1", dns[1])
	set("HOSTNAME", r.Get("hostname"))
	set("DNSDOMAIN", r.Get("domain"))
	set("NISDOMAIN", "")
	set("ROOTSERVER", or(r.Get("nextserver"), or(r.Get("server"), "0.0.0.0")))
	set("ROOTPATH", r.Get("rootpath"))
	set("filename", r.Get("bootfile"))
	set("DHCPLEASETIME", or(r.Get("lifetime"), "0"))
	set("DOMAINSEARCH", "")
	return b.String()
}

// networkd is a file of systemd.network(5). Its name lets any other file for the
// link come first.
func networkd(r *netreport.Report) string {
	text := "# Made by Firstlight: the root was mounted over this link.\n[Match]\nMACAddress=" + r.Get("mac") + "\nName=" + r.Link +
		"\n\n[Network]\nKeepConfiguration=yes\n"
	if r.Get("proto") == "dhcp" {
		return text + "DHCP=ipv4\n\n[DHCPv4]\nClientIdentifier=mac\n"
	}
	for _, f := range r.Fields {
		switch f.Name {
		case "addr":
			text += "Address=" + f.Value + "\n"
		case "gateway":
			text += "Gateway=" + f.Value + "\n"
		case "dns":
			text += "DNS=" + f.Value + "\n"
		}
	}
	return text
}

package nethelper

import "testing"

func TestConfigurationOfALinkIsFoundByItsName(t *testing.T) {
	const dir = "/etc/wpa_supplicant/wpa_supplicant"
	for _, c := range []struct {
		radio        bool
		there        []string
		file, driver string
	}{
		{true, []string{dir + ".conf"}, dir + ".conf", "nl80211"},
		{true, []string{dir + ".conf", dir + "-wlan0.conf"}, dir + "-wlan0.conf", "nl80211"},
		{true, []string{dir + "-wlan1.conf", dir + "-wired-wlan0.conf"}, "", ""},
		{false, []string{dir + ".conf", dir + "-wlan0.conf"}, "", ""}, // a cable needs none unless one is for it
		{false, []string{dir + "-wired-wlan0.conf"}, dir + "-wired-wlan0.conf", "wired"},
	} {
		file, driver := supplicantConfig("wlan0", c.radio, func(name string) bool {
			for _, f := range c.there {
				if f == name {
					return true
				}
			}
			return false
		})
		if file != c.file || driver != c.driver {
			t.Errorf("%+v: %s %s", c, file, driver)
		}
	}
}

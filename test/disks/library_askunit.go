package disks

// askUnit are files of a Debian in which a command says, where the test's report looks,
// what becomes of something in the real system. It runs after units, of which it wants
// some.
func askUnit(what, command, after, wants string) []File {
	const unit = "etc/systemd/system/fltest-asked.service"
	return []File{
		{Path: unit, Data: `[Unit]
Description=` + what + `
DefaultDependencies=no
After=` + after + `
Wants=` + wants + `
Before=fltest-report.service
[Service]
Type=oneshot
SyslogIdentifier=asked
SyslogLevel=warning
ExecStart=` + command + `
[Install]
WantedBy=multi-user.target
`},
		{Path: "etc/systemd/system/multi-user.target.wants/fltest-asked.service", Link: "../fltest-asked.service"},
	}
}

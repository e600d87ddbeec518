package sshfs

import (
	"strings"

	"firstlight/internal/fmt"
)

// Lists of options by name, between blanks, in small letters.
const (
	// itself are those of sshfs and of its library that a root may have.
	itself = " cache dir_cache cache_timeout cache_stat_timeout cache_dir_timeout cache_link_timeout cache_clean_interval cache_min_clean_interval cache_max_size" +
		" dcache_timeout dcache_stat_timeout dcache_dir_timeout dcache_link_timeout dcache_clean_interval dcache_min_clean_interval dcache_max_size" +
		" entry_timeout attr_timeout ac_attr_timeout negative_timeout kernel_cache auto_cache noauto_cache direct_io no_readahead sync_readdir sshfs_sync" +
		" max_conns max_write max_background congestion_threshold max_idle_threads max_threads clone_fd noforget remember use_ino readdir_ino hard_remove" +
		" workaround idmap nomap umask uid gid disable_hardlink sftp_server debug sshfs_debug "
	// ssh are those of ssh that decide nothing about who is believed.
	ssh = " addressfamily bindaddress bindinterface ciphers compression connectionattempts connecttimeout hostkeyalgorithms ipqos kexalgorithms loglevel macs" +
		" pubkeyacceptedalgorithms pubkeyacceptedkeytypes rekeylimit revokedhostkeys serveralivecountmax serveraliveinterval tcpkeepalive "
	// kernel are those of the kernel's part.
	kernel = " max_read "
	// anyway are those that are so anyway, or for who mounts by a table.
	anyway = " allow_other allow_root default_permissions reconnect nonempty fsname subtype delay_connect auto_unmount big_writes no_contain_symlinks" +
		" identitiesonly=yes stricthostkeychecking=yes batchmode=yes passwordauthentication=no kbdinteractiveauthentication=no "
)

// Options sorts the options of a root by who reads them: args are for sshfs, and data is
// for the kernel. What has to do with who is believed, and by what, is refused; so is
// what nobody knows.
func Options(list string) (args []string, data string, err error) {
	for o := range strings.SplitSeq(list, ",") {
		name, _, _ := strings.Cut(o, "=")
		has := func(list, word string) bool {
			return word != "" && strings.Contains(list, " "+strings.ToLower(word)+" ")
		}
		switch {
		case o == "", has(anyway, name), has(anyway, o):
		case strings.ContainsAny(o, " \n\t\\\"'"):
			return nil, "", fmt.Errorf("the option %q has a blank, a quotation mark or a backslash", o)
		case has(kernel, name):
			if data != "" {
				data += ","
			}
			data += o
		case has(itself, name), has(ssh, name):
			args = append(args, o)
		case strings.EqualFold(name, "port") || name == "p":
			return nil, "", fmt.Errorf("the option %s is written with the server: USER@SERVER:PORT:/DIRECTORY", o)
		default:
			return nil, "", fmt.Errorf("the option %s is none that a root by SSH can have", name)
		}
	}
	return args, data, nil
}

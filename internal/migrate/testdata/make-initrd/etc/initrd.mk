# Set auto detection
AUTODETECT = all
FEATURES += add-modules compress cleanup \
	network nfsroot luks sshfsroot
DISABLE_FEATURES += usb
MODULES_ADD = ext4.ko
MODULES_TRY_ADD += e1000
MODULES_PRELOAD += af_packet
PUT_FILES = /etc/my.conf
PUT_PROGS += strace
COMPRESS = xz
IMAGEFILE = $(BOOTDIR)/initrd-$(KERNEL).img
NOTHING = x
SSHFS_KNOWN_HOSTS = /etc/openssh/ssh_known_hosts
SSHFS_KEY = /root/.ssh/id_initrd
SSHFS_KEYS = /root/.ssh/id_initrd /root/.ssh/id_other /root/.ssh/id_other.pub
SSHFS_CONFIG = /etc/openssh/ssh_config

# Set auto detection
AUTODETECT = all
FEATURES += add-modules compress cleanup \
	network nfsroot luks
DISABLE_FEATURES += usb
MODULES_ADD = ext4.ko
MODULES_TRY_ADD += e1000
MODULES_PRELOAD += af_packet
PUT_FILES = /etc/my.conf
PUT_PROGS += strace
COMPRESS = xz
IMAGEFILE = $(BOOTDIR)/initrd-$(KERNEL).img
NOTHING = x

# Firstlight: see README.md. Everything downloaded or generated goes below
# $(FIRSTLIGHT_CACHE); /boot, /lib/modules and /etc of this machine are never
# touched.

FIRSTLIGHT_CACHE ?= $(CURDIR)/.cache
export FIRSTLIGHT_CACHE

GOFLAGS_BUILD = -trimpath -ldflags '-s -w' -buildvcs=false
# /init is in every image and read into memory at every boot: functions are
# neither inlined nor aligned in it, and a make() of a length that is not known
# gets no second copy of its code for the stack, which makes it a tenth smaller
# and costs under two per cent of a boot's instructions. The runtime is inlined
# as usual: that is a hundredth of the size and takes a quarter off the
# instructions of starting. So is cryptography, with what it calls for each few
# bytes: a thousandth of the size, and a quarter of the time of unlocking. And
# so are packages with functions that are shorter than the calls of them: that
# makes the whole 20 KB smaller.
# No goroutine of it is interrupted by a signal, since none computes for long
# without a call: on a slow machine hundreds of signals came in each boot, most
# of them in the middle of a module's loading.
# Where internal/entry has them, the first instructions are ours and not the
# runtime's.
INLINED       = -d=variablemakethreshold=0
QUICK         = crypto/... internal/runtime/maps internal/runtime/sys internal/runtime/math internal/abi encoding/binary internal/byteorder golang.org/x/crypto/... firstlight/internal/luks firstlight/internal/argon2
SHORT         = encoding/base64 errors hash/crc32 internal/bisect internal/godebug internal/poll internal/reflectlite internal/runtime/syscall/linux internal/strconv \
	internal/testlog io/fs os os/signal sort strconv sync sync/atomic unicode unicode/utf8 $(addprefix firstlight/internal/,blktext kmod handler/fsck handler/luks handler/lvm md mountinfo pid1)
GOFLAGS_INIT  = -gcflags='all=-l -d=variablemakethreshold=0' -gcflags='runtime=$(INLINED)' \
	$(foreach p,$(QUICK) $(SHORT),-gcflags='$(p)=$(INLINED)') \
	-ldflags '-s -w -funcalign=1 -X runtime.godebugDefault=asyncpreemptoff=1 $(if $(wildcard internal/entry/entry_$(shell go env GOARCH).s),-E firstlight/internal/entry.start)'
# It collects garbage once in a long boot or never: the smaller of the two
# collectors will do, where the toolchain still has the choice.
GOEXPERIMENT_INIT := $(shell GOEXPERIMENT=nogreenteagc go list -f ok cmp 2>/dev/null | sed s/ok/nogreenteagc/)
STATICCHECK   = $(FIRSTLIGHT_CACHE)/bin/staticcheck
FLT           = go run ./test/flt

# RUN names scenarios of the end-to-end tests and SUITE the releases whose
# kernels they run with, both by regular expressions; TIME is how long each
# fuzz target runs.
RUN   ?= .
SUITE ?= .
TIME  ?= 30s

# What building disks, running machines and comparing with the field's own
# tools needs. Nothing here is needed to build Firstlight.
PACKAGES = ca-certificates debian-archive-keyring gcc libc6-dev binutils \
	qemu-system-x86 qemu-utils mmdebstrap \
	kmod udev util-linux fdisk gdisk dmsetup mdadm lvm2 cryptsetup-bin \
	e2fsprogs xfsprogs btrfs-progs dosfstools squashfs-tools erofs-utils \
	busybox-static cpio zstd xz-utils lz4 lzop gzip bzip2 \
	f2fs-tools exfatprogs ntfs-3g genisoimage isomd5sum udftools parted bcache-tools drbd-utils nilfs-tools jfsutils reiserfsprogs genromfs \
	nfs-kernel-server nbd-server vblade tgt open-iscsi dnsmasq-base iproute2 isc-dhcp-server radvd kea-dhcp4-server tcplay kbd console-data console-setup util-linux-extra thin-provisioning-tools man-db groff libc-bin mount openssl ovmf \
	systemd-boot-efi sbsigntool mtools wireguard-tools wpasupplicant hostapd iw minisign \
	umoci gnupg gpgv krb5-kdc krb5-admin-server openssh-client clevis clevis-luks tang jose jq curl socat sshfs openssh-server

ifeq ($(FIRSTLIGHT_FULL),1)
PACKAGES += qemu-system-arm qemu-system-misc swtpm samba
endif

# HELPERS are programs that handlers start, each in the images alone that have a
# feature which needs it.
HELPERS = network nbd nvmf iscsi tang imagecache oci sshfs
# LEAN are those that would be too large with inlined and aligned functions.
LEAN = ssh

# What speaks TLS has most of its size from the standard library: it is built as
# /init is, but with no cryptography inlined.
HELPERS_TLS = fetch nbd-tls httpdisk tang-tls
SMALL_TLS   = net/netip io bufio encoding/asn1 encoding/binary net/url internal/cpu internal/oserror internal/race internal/runtime/cgroup \
	crypto/cipher crypto/internal/fips140/drbg crypto/internal/fips140/aes/gcm crypto/x509/pkix
GOFLAGS_TLS = -gcflags='all=-l -d=variablemakethreshold=0' $(foreach p,$(filter-out firstlight/%,$(SHORT)) $(SMALL_TLS),-gcflags='$(p)=$(INLINED)') \
	-ldflags '-s -w -funcalign=1'

# ARCHS are further architectures that images can be built for, by Go's names.
ARCHS ?= arm64 riscv64

.PHONY: build foreign setup kernels run test test-full check check-truth images e2e bench fuzz sim mutate packages test-packages clean

build:
	CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o bin/firstlight ./cmd/firstlight
	GOEXPERIMENT=$(GOEXPERIMENT_INIT) CGO_ENABLED=0 go build -trimpath $(GOFLAGS_INIT) -buildvcs=false -o bin/ ./cmd/init ./cmd/init-full
	CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o bin/ $(addprefix ./cmd/,$(HELPERS))
	GOEXPERIMENT=$(GOEXPERIMENT_INIT) CGO_ENABLED=0 go build -trimpath $(GOFLAGS_TLS) -buildvcs=false -o bin/ $(addprefix ./cmd/,$(HELPERS_TLS))
	CGO_ENABLED=0 go build -trimpath -gcflags=all=-l -ldflags '-s -w -funcalign=1' -buildvcs=false -o bin/ $(addprefix ./cmd/,$(LEAN))
	rm -rf bin/packed
	bin/firstlight pack-init bin/init
	bin/firstlight pack-init bin/init-full

# The programs of images for other machines, where firstlight build looks for
# them: beside those of this one.
foreign:
	set -e; for a in $(ARCHS); do mkdir -p bin/$$a; \
	  export GOARCH=$$a CGO_ENABLED=0; \
	  GOEXPERIMENT=$(GOEXPERIMENT_INIT) go build -trimpath $(subst -E firstlight/internal/entry.start,,$(GOFLAGS_INIT)) -buildvcs=false -o bin/$$a/ ./cmd/init ./cmd/init-full; \
	  go build $(GOFLAGS_BUILD) -o bin/$$a/ $(addprefix ./cmd/,$(HELPERS) $(LEAN)); \
	  GOEXPERIMENT=$(GOEXPERIMENT_INIT) go build -trimpath $(GOFLAGS_TLS) -buildvcs=false -o bin/$$a/ $(addprefix ./cmd/,$(HELPERS_TLS)); done

# apt is asked for what is missing and for nothing else. Servers among the packages
# are for virtual machines: none is started here.
setup:
	@missing=$$(for p in $(PACKAGES); do \
	  test "$$(dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null)" = installed || echo $$p; done); \
	if test -n "$$missing"; then \
	  test "$$(id -u)" = 0 || { echo "make setup needs root to install:" $$missing >&2; exit 1; }; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  policy=/usr/sbin/policy-rc.d; \
	  if ! test -e $$policy; then \
	    trap "rm -f $$policy" EXIT; \
	    printf '#!/bin/sh\nexit 101\n' >$$policy && chmod 755 $$policy; \
	  fi; \
	  apt-get -q update && apt-get -q install -y --no-install-recommends $$missing; \
	fi

kernels: setup
	$(FLT) kernels bookworm trixie

run: setup kernels build
	$(FLT) run $(if $(filter 1,$(INTERACTIVE)),-interactive)

# Everything, also from nothing: the fast first.
test: setup build kernels check
	FIRSTLIGHT_REQUIRE=1 go test ./...
	GOGC=400 FIRSTLIGHT_SEEDS=50000 go test ./internal/sim/prove -count=1 -timeout 30m
	FIRSTLIGHT_REQUIRE=1 go test -race -short ./cmd/... ./internal/...
	$(MAKE) --no-print-directory e2e

# With the scenarios that are too dear for every change.
test-full: foreign
	FIRSTLIGHT_SEEDS=10000 go test ./internal/sim -run TestMany -count=1 -timeout 30m
	FIRSTLIGHT_FULL=1 $(MAKE) --no-print-directory test
	$(MAKE) --no-print-directory test-packages

# The packages of all formats, by the tools of their distributions, and the whole
# life of one in a Debian 12 and 13 with GRUB and with systemd-boot. The consoles
# are left in $(FIRSTLIGHT_CACHE)/packages-test, of a guest that failed its disk too:
# FIRSTLIGHT_STAGE=N begins with that stage of it again.
test-packages: setup kernels packages
	FIRSTLIGHT_FULL=1 FIRSTLIGHT_E2E=1 FIRSTLIGHT_REQUIRE=1 go test ./test/packages -count=1 -v -timeout 6h -parallel 2 -run '$(RUN)'

check: $(STATICCHECK)
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	  test -z "$$unformatted" || { echo "gofmt these:" $$unformatted >&2; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

$(STATICCHECK): tools/staticcheck/go.mod tools/staticcheck/go.sum
	cd tools/staticcheck && go build -o $@ honnef.co/go/tools/cmd/staticcheck

# Real boots, two at a time. The line of each scenario and the consoles of all
# are left in $(FIRSTLIGHT_CACHE)/e2e/latest.
e2e: setup build kernels
	FIRSTLIGHT_E2E=1 FIRSTLIGHT_REQUIRE=1 go test ./test/e2e -count=1 -v -timeout 60m -parallel 2 -run 'TestBoot/($(RUN))/($(SUITE))'

# What firstlight check says of each image, against what its boot then does.
# The table is left in $(FIRSTLIGHT_CACHE)/truth/latest/table.md; with
# FIRSTLIGHT_TRUTH_RESUME=1 the last run is taken up again.
check-truth: setup build kernels
	FIRSTLIGHT_TRUTH=1 FIRSTLIGHT_REQUIRE=1 go test ./test/truth -count=1 -v -timeout 6h -parallel 2 -run 'TestTruth/($(RUN))/($(SUITE))'

# What the image tools see in images that Debian's generators made, against what
# the generators' own tools see.
images: setup kernels
	FIRSTLIGHT_IMAGES=1 FIRSTLIGHT_REQUIRE=1 go test ./test/images -count=1 -v -timeout 60m

bench: setup build kernels
	$(FLT) bench

# Generated machines in the simulator: SEEDS of them from START on. What breaks
# a rule is cut down to what is needed for that. mutate breaks the rules on
# purpose, one at a time, and shows which seed notices.
SEEDS ?= 50000
START ?= 0
sim:
	$(FLT) sim -seeds $(SEEDS) -start $(START)

mutate:
	$(FLT) mutate

fuzz:
	$(FLT) fuzz -time $(TIME)

# Packages for Debian, Fedora and openSUSE, Arch, and Alpine. They hold the
# programs, their manual pages and completions, and what makes an image when a
# kernel is installed.
VERSION    := $(shell sed -n 's/^var Version = "\(.*\)"/\1/p' internal/version/version.go)
MAINTAINER ?= Firstlight developers <firstlight@firstlight.invalid>
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
STAGE      = $(FIRSTLIGHT_CACHE)/packages/root
# Of this target alone: tools of the tests refuse options for what it also says.
packages: export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)
packages: build
	rm -rf $(FIRSTLIGHT_CACHE)/packages bin/packages
	mkdir -p bin/packages
	sh dist/stage.sh $(STAGE) $(VERSION)
	cd tools/packages && go run . -root $(STAGE) -scripts $(CURDIR)/dist/debian -out $(CURDIR)/bin/packages \
	  -version '$(VERSION)' -arch $(shell go env GOARCH) -maintainer '$(MAINTAINER)'

clean:
	rm -rf bin $(FIRSTLIGHT_CACHE)/e2e $(FIRSTLIGHT_CACHE)/run $(FIRSTLIGHT_CACHE)/bench $(FIRSTLIGHT_CACHE)/truth

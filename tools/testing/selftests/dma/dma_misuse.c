// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of the mistakes that users make, of users who just go away, and of calls
 * that fail half way?
 *
 * A driver that lets devices have memory of processes must give each mistake a clear
 * error, and in no case may anything be left behind: no mapping, no bounce buffer, no
 * pinned page, no dma-buf. Each case here says which error, and looks for what is left.
 *
 * There are four kinds of mappings, and most cases are for all of them: one page that is
 * pinned, a list of such pages, a mirror of the address space (HMM), and a dma-buf that
 * is imported. A machine may bounce the first two, which makes no difference here. It
 * refuses mirrors if they might bounce; see mirrors_work().
 *
 * It needs root, and:
 *
 * - QEMU with "-device edu,dma_mask=0xffffffffffffffff".
 * - for dma-bufs: "-device ivshmem-plain" with memory, and a way to it from an edu device;
 *   see reaches_memory().
 * - test_modules/edu_dma.ko and test_modules/bar_exporter.ko, loaded or in their place.
 *   To be unloaded they have to be in their place, for the test to load them again.
 * - for the benchmark: CONFIG_DMA_MAP_BENCHMARK.
 * - for the calls that fail half way: CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and
 *   CONFIG_FAULT_INJECTION_DEBUG_FS, and CONFIG_FAULT_INJECTION_USERCOPY for more of them.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "selftest.h"

#define EDU_DRIVER	"/sys/bus/pci/drivers/edu_dma"
#define EXPORTER_DRIVER	"/sys/bus/pci/drivers/bar_exporter"
#define NO_EXPORTER	"no /dev/bar_exporter0: no ivshmem device, or no bar_exporter.ko"
#define EXPORTER_SYSFS	"/sys/class/misc/bar_exporter0/device"
#define TRACE_FORMAT	"/sys/kernel/tracing/events/dma/dma_map_phys/format"
#define FAULT_INJECTION	"/sys/kernel/debug/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"

/* The register of edu that tells whether it is at work. */
#define EDU_DMA_CMD	0x98
#define EDU_DMA_CMD_RUN	0x1

#define MAX_DEVICES	4

/* What a list, a mirror and a dma-buf have. */
#define NR_PAGES	3

/* Much longer than anything takes that does not wait for something else. */
#define SOON_MS		5000

/* How long several threads play with one file. */
#define PLAY_MS		700

/* Tells a program that execve() starts which file descriptors to use; see linger(). */
#define LINGER		"DMA_MISUSE_LINGER"

/* The machine */

/*
 * HMM has nothing to do with memory that may bounce, and refuses mirrors or single pages
 * then. Where that is so, and on Xen it depends on more, there are no mirrors here.
 */
static bool mirrors_work(void)
{
	return iommu_translates() || !(swiotlb_forced() || runs_on_xen());
}

/*
 * Does the host bridge route between its ports? Nothing tells, so the kernel has a list.
 * All that is on it and that QEMU has are the CPUs of AMD since Zen.
 */
static bool host_bridge_routes(void)
{
	char text[4096];

	read_file("/proc/cpuinfo", text, sizeof(text));
	return strstr(text, "AuthenticAMD") &&
	       read_number("/proc/cpuinfo", "cpu family\t:") >= 0x17;
}

static bool edu_path(unsigned int n, char *path)
{
	char link[64];

	snprintf(link, sizeof(link), "/sys/class/misc/edu_dma%u/device", n);
	return realpath(link, path);
}

static bool reaches_memory(unsigned int n)
{
	char device[PATH_MAX], memory[PATH_MAX];

	return edu_path(n, device) && realpath(EXPORTER_SYSFS, memory) &&
	       (have_common_bridge(device, memory) || host_bridge_routes());
}

/* Does the kernel know about faults to inject, and can they be arranged? */
static const char *fault_injection_is_missing(void)
{
	if (access(FAIL_NTH, W_OK))
		return "no " FAIL_NTH ": no CONFIG_FAULT_INJECTION?";
	if (access(FAULT_INJECTION "failslab/verbose", W_OK) ||
	    access(FAULT_INJECTION "fail_page_alloc/verbose", W_OK))
		return "no " FAULT_INJECTION "failslab: no CONFIG_FAULT_INJECTION_DEBUG_FS?";
	return NULL;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Something to map */

enum kind {
	PAGE,
	LIST,
	MIRROR,
	IMPORT,
	NR_KINDS,
};

/**
 * struct subject - something to map, and a file to do so with
 * @kind: how to map it
 * @device: N of the /dev/edu_dmaN to map it for
 * @fd: that device
 * @memory: NR_PAGES pages, unless @kind is %IMPORT. One page means the first one.
 * @exporter: whose memory it is, if @kind is %IMPORT
 * @dma_buf: that memory
 * @before: what was in use before there was any of this
 */
struct subject {
	enum kind kind;
	unsigned int device;
	int fd;
	unsigned char *memory;
	int exporter;
	int dma_buf;
	struct usage before;
};

static size_t memory_length(void)
{
	return NR_PAGES * page_size();
}

static __u64 mapping_length(enum kind kind)
{
	return kind == PAGE ? page_size() : memory_length();
}

/* Memory that a list of pages finds in more than one segment, if it is scattered. */
static void *get_memory(void)
{
	void *memory = mmap(NULL, memory_length(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, memory_length(), MADV_NOHUGEPAGE);
	memset(memory, 0, memory_length());
	return memory;
}

static struct edu_dma_map map_of(enum kind kind, const void *memory)
{
	static const __u32 flags[] = {
		[PAGE] = EDU_DMA_MAP_PAGE,
		[LIST] = 0,
		[MIRROR] = EDU_DMA_MAP_MIRROR,
	};
	struct edu_dma_map map = {
		.addr = (uintptr_t)memory,
		.length = mapping_length(kind),
		.dma_bits = WIDE_BITS,
		.flags = flags[kind],
	};

	return map;
}

/* These return 0 or an errno. */

static int export_memory(int exporter, int *dma_buf)
{
	struct bar_exporter_export arg = { .length = memory_length() };

	if (ioctl(exporter, BAR_EXPORTER_EXPORT, &arg))
		return errno;
	*dma_buf = arg.fd;
	return 0;
}

static int map_with(int fd, const struct subject *subject, unsigned int bits, __u32 *handle)
{
	struct edu_dma_import import = { .fd = subject->dma_buf, .dma_bits = bits };
	struct edu_dma_map map;
	int error;

	if (subject->kind == IMPORT) {
		error = import_dma_buf(fd, &import);
		*handle = import.handle;
	} else {
		map = map_of(subject->kind, subject->memory);
		map.dma_bits = bits;
		error = map_memory(fd, &map);
		*handle = map.handle;
	}
	return error;
}

static int map_subject(const struct subject *subject, __u32 *handle)
{
	return map_with(subject->fd, subject, WIDE_BITS, handle);
}

/* The shortest transfer that there is. */
static int touch(int fd, __u32 handle)
{
	return transfer(fd, handle, EDU_DMA_TO_DEVICE, 0, 1);
}

static int open_again(const struct subject *subject)
{
	return open_test_device("edu_dma", subject->device);
}

/* Wait until the device is at work, as a register of it tells. */
static bool wait_for_transfer(const struct subject *subject)
{
	const __u64 *registers;
	long long end = now_ms() + SOON_MS;
	bool at_work = false;
	char path[64];
	int resource;

	snprintf(path, sizeof(path), "/sys/class/misc/edu_dma%u/device/resource0",
		 subject->device);
	resource = open(path, O_RDONLY | O_CLOEXEC);
	registers = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, resource, 0);
	close(resource);
	if (registers == MAP_FAILED) {
		/* Then it has to be assumed. */
		usleep(50000);
		return true;
	}
	while (!at_work && now_ms() < end)
		at_work = __atomic_load_n(registers + EDU_DMA_CMD / sizeof(*registers),
					  __ATOMIC_RELAXED) & EDU_DMA_CMD_RUN;
	munmap((void *)registers, page_size());
	return at_work;
}

/* An edu device with a way to the memory of the exporter, or the first one. */
static unsigned int choose_device(void)
{
	unsigned int n;

	for (n = 0; n < MAX_DEVICES; n++)
		if (reaches_memory(n))
			return n;
	return 0;
}

static const char *get_dma_buf(struct subject *subject)
{
	subject->exporter = open_test_device("bar_exporter", 0);
	if (!reaches_memory(subject->device))
		return "no edu device has a way to the memory of the exporter";
	if (export_memory(subject->exporter, &subject->dma_buf))
		return "the exporter does not export its memory";
	return NULL;
}

static void put_subject(struct subject *subject)
{
	if (subject->fd >= 0)
		close(subject->fd);
	if (subject->dma_buf >= 0)
		close(subject->dma_buf);
	if (subject->exporter >= 0)
		close(subject->exporter);
	if (subject->memory)
		munmap(subject->memory, memory_length());
}

/* That a device is there and cannot be opened is no reason to skip a test. */
static void fail_unless_missing(const char *name, int fd)
{
	if (fd >= 0 || fd == -ENOENT || fd == -EACCES || fd == -EPERM)
		return;
	ksft_print_msg("cannot open /dev/%s0: %s\n", name, strerror(-fd));
	fflush(stdout);
	_exit(KSFT_FAIL);
}

/* Ask with arguments that are wrong, so that nothing is mapped. */
static bool has_kind(int fd, enum kind kind)
{
	struct edu_dma_map mirror = {
		.length = page_size(),
		.attrs = DMA_ATTR_REQUIRE_COHERENT,
		.dma_bits = WIDE_BITS,
		.flags = EDU_DMA_MAP_MIRROR,
	};
	struct edu_dma_import import = { .fd = -1, .dma_bits = WIDE_BITS };

	if (kind == MIRROR)
		return map_memory(fd, &mirror) != ENOTTY;
	if (kind == IMPORT)
		return import_dma_buf(fd, &import) != ENOTTY;
	return true;
}

/* Get what it takes for a mapping of this kind, or say why that is not possible. */
static const char *get_subject(struct subject *subject, enum kind kind)
{
	const char *reason = NULL;
	int first;

	*subject = (struct subject){ .kind = kind, .fd = -1, .exporter = -1, .dma_buf = -1 };
	if (kind == MIRROR && !mirrors_work())
		return "no mirrors where memory may bounce";

	/* This loads the modules, so that there are devices to choose from. */
	first = open_device(&reason);
	fail_unless_missing("edu_dma", first);
	if (first < 0)
		return reason;
	close(first);
	first = open_test_device("bar_exporter", 0);
	fail_unless_missing("bar_exporter", first);
	if (first < 0 && kind == IMPORT)
		return NO_EXPORTER;
	close(first);
	subject->device = choose_device();

	subject->before = usage_now();
	subject->fd = open_again(subject);
	if (subject->fd < 0)
		return "the edu device cannot be opened";
	if (!has_kind(subject->fd, kind))
		reason = "the kernel has no such mappings";
	else if (kind == IMPORT)
		reason = get_dma_buf(subject);
	else
		subject->memory = get_memory();
	if (!reason && kind != IMPORT && !subject->memory)
		reason = "too little memory";
	if (reason)
		put_subject(subject);
	return reason;
}

/* Processes */

/* Tell somebody at the other end of a pipe to go on, or wait to be told. */
static void signal_pipe(int fd)
{
	while (write(fd, "", 1) < 0 && errno == EINTR)
		;
}

static bool wait_pipe(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1;
}

/* The exit status of a child process, which is an errno, or -1 if it did not get there. */
static int exit_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/*
 * What this program does if execve() has started it with LINGER in the environment: it
 * says that it is there, and stays until it is told to go.
 */
static void __attribute__((constructor)) linger(void)
{
	const char *fds = getenv(LINGER);
	int says, hears;

	if (!fds || sscanf(fds, "%d,%d", &says, &hears) != 2)
		return;
	signal_pipe(says);
	wait_pipe(hears);
	_exit(0);
}

/* Drivers and modules */

static bool tell_driver(const char *driver, const char *what, const char *slot)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", driver, what);
	return write_file(path, slot);
}

/* The name of the PCI device behind a file of class misc. */
static bool find_slot(const char *link, char *slot, size_t size)
{
	char path[PATH_MAX];

	if (!realpath(link, path))
		return false;
	snprintf(slot, size, "%s", strrchr(path, '/') + 1);
	return true;
}

static bool find_device_slot(const struct subject *subject, char *slot, size_t size)
{
	char link[64];

	snprintf(link, sizeof(link), "/sys/class/misc/edu_dma%u/device", subject->device);
	return find_slot(link, slot, size);
}

static int unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? errno : 0;
}

/* Memory that cannot be mapped, and arguments that make no sense */

FIXTURE(memory)
{
	struct subject subject;
	struct edu_dma_map map;
};

FIXTURE_VARIANT(memory)
{
	enum kind kind;
};

FIXTURE_VARIANT_ADD(memory, page)
{
	.kind = PAGE,
};

FIXTURE_VARIANT_ADD(memory, list)
{
	.kind = LIST,
};

FIXTURE_VARIANT_ADD(memory, mirror)
{
	.kind = MIRROR,
};

FIXTURE_SETUP(memory)
{
	const char *reason;

	reason = get_subject(&self->subject, variant->kind);
	if (reason)
		SKIP(return, "%s", reason);

	/* What works; each test breaks one thing of it. */
	self->map = map_of(variant->kind, self->subject.memory);
}

FIXTURE_TEARDOWN(memory)
{
	struct edu_dma_map map = map_of(PAGE, get_memory());

	/* Whatever failed, it has not used up the first handle. */
	EXPECT_EQ(0, map_memory(self->subject.fd, &map));
	EXPECT_EQ(1U, map.handle);

	put_subject(&self->subject);
	EXPECT_NOTHING_LEAKED(self->subject.before);
}

/*
 * What becomes of memory that the user maps and lets the device use: pins fail when they
 * are made, and a mirror when the device gets to the memory.
 */
static int use_memory(int fd, struct edu_dma_map *map, __u32 direction, __u64 offset)
{
	int error, unmap_error;

	error = map_memory(fd, map);
	if (error)
		return error;
	error = transfer(fd, map->handle, direction, offset, 1);
	unmap_error = unmap_memory(fd, map->handle);
	return error ?: unmap_error;
}

TEST_F(memory, is_mapped_if_nothing_is_wrong)
{
	EXPECT_EQ(0, use_memory(self->subject.fd, &self->map, EDU_DMA_FROM_DEVICE,
				self->map.length - 1));
}

TEST_F(memory, has_to_be_there)
{
	const size_t hole = page_size();
	const int fd = self->subject.fd;

	/* All but the page in the middle is, and one page can only be that. */
	ASSERT_EQ(0, munmap(self->subject.memory + hole, page_size()));
	if (variant->kind == PAGE)
		self->map.addr += hole;
	if (variant->kind == MIRROR) {
		/* The device does what it can: up to the hole, and behind it. */
		ASSERT_EQ(0, map_memory(fd, &self->map));
		EXPECT_EQ(EFAULT, transfer(fd, self->map.handle, EDU_DMA_TO_DEVICE,
					   hole - 1, 2));
		EXPECT_EQ(0, transfer(fd, self->map.handle, EDU_DMA_TO_DEVICE,
				      hole + page_size(), 1));
		EXPECT_EQ(0, unmap_memory(fd, self->map.handle));
	} else {
		EXPECT_EQ(EFAULT, map_memory(fd, &self->map));
	}

	ASSERT_EQ(0, munmap(self->subject.memory, memory_length()));
	EXPECT_EQ(EFAULT, use_memory(fd, &self->map, EDU_DMA_TO_DEVICE, 0));
}

/* Open a file that nobody needs, in case that a device does write to it. */
static int open_for_reading(void)
{
	int writable, file = -1;
	char link[64];

	writable = open("/", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (writable >= 0 && !ftruncate(writable, memory_length())) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", writable);
		file = open(link, O_RDONLY | O_CLOEXEC);
	}
	close(writable);
	return file;
}

/* Pins are for both directions, but nothing keeps a device from reading a mirror. */
TEST_F(memory, can_be_written)
{
	const int read_error = variant->kind == MIRROR ? 0 : EFAULT;
	const int fd = self->subject.fd;
	void *memory;
	int file;

	ASSERT_EQ(0, mprotect(self->subject.memory, memory_length(), PROT_NONE));
	EXPECT_EQ(EFAULT, use_memory(fd, &self->map, EDU_DMA_TO_DEVICE, 0));
	EXPECT_EQ(EFAULT, use_memory(fd, &self->map, EDU_DMA_FROM_DEVICE, 0));

	ASSERT_EQ(0, mprotect(self->subject.memory, memory_length(), PROT_READ));
	EXPECT_EQ(EFAULT, use_memory(fd, &self->map, EDU_DMA_FROM_DEVICE, 0));
	EXPECT_EQ(read_error, use_memory(fd, &self->map, EDU_DMA_TO_DEVICE, 0));

	/* The same for memory of a file that is open for reading. */
	file = open_for_reading();
	ASSERT_GE(file, 0);
	memory = mmap(NULL, memory_length(), PROT_READ, MAP_SHARED, file, 0);
	close(file);
	ASSERT_NE(MAP_FAILED, memory);
	self->map.addr = (uintptr_t)memory;
	EXPECT_EQ(EFAULT, use_memory(fd, &self->map, EDU_DMA_FROM_DEVICE, 0));
	EXPECT_EQ(read_error, use_memory(fd, &self->map, EDU_DMA_TO_DEVICE, 0));
	munmap(memory, memory_length());
}

/* The registers of the device itself: there is nothing that could be pinned. */
TEST_F(memory, is_not_that_of_a_device)
{
	void *registers;
	int resource;

	resource = open(DEVICE_SYSFS "/resource0", O_RDWR | O_CLOEXEC);
	if (resource < 0)
		SKIP(return, "no " DEVICE_SYSFS "/resource0 to map");
	registers = mmap(NULL, memory_length(), PROT_READ | PROT_WRITE, MAP_SHARED,
			 resource, 0);
	close(resource);
	if (registers == MAP_FAILED)
		SKIP(return, "the kernel does not let user space map a BAR in use");

	self->map.addr = (uintptr_t)registers;
	EXPECT_EQ(EFAULT, use_memory(self->subject.fd, &self->map, EDU_DMA_TO_DEVICE, 0));
	EXPECT_EQ(EFAULT, use_memory(self->subject.fd, &self->map, EDU_DMA_FROM_DEVICE, 0));
	munmap(registers, memory_length());
}

TEST_F(memory, is_where_memory_can_be)
{
	const __u64 page = page_size();
	const int fd = self->subject.fd;
	struct edu_dma_map map;

	/* Not with the kernel, nor up to the last byte that has an address. */
	map = self->map;
	map.addr = _BITULL(63);
	EXPECT_EQ(EFAULT, map_memory(fd, &map));
	map.addr = -map.length;
	EXPECT_EQ(EFAULT, map_memory(fd, &map));

	/* Beyond that there are no addresses. */
	map.addr = -page;
	map.length = 2 * page;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));

	map = self->map;
	map.length = 0;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));
	map.length = EDU_DMA_MAX_LENGTH + page;
	EXPECT_EQ(E2BIG, map_memory(fd, &map));
	map.length = -page;
	EXPECT_EQ(E2BIG, map_memory(fd, &map));

	/* The greatest length itself is not what is wrong. */
	ASSERT_EQ(0, munmap(self->subject.memory, memory_length()));
	map.length = EDU_DMA_MAX_LENGTH;
	EXPECT_EQ(variant->kind == PAGE ? EINVAL : EFAULT,
		  use_memory(fd, &map, EDU_DMA_TO_DEVICE, 0));
}

TEST_F(memory, is_mapped_with_arguments_that_make_sense)
{
	const int fd = self->subject.fd;
	struct edu_dma_map map;

	/* One page, so that flags that exclude each other do not fail for another reason. */
	map = self->map;
	map.length = page_size();
	map.flags = EDU_DMA_MAP_PAGE | EDU_DMA_MAP_MIRROR;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));
	map.flags = self->map.flags | 0x4;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));
	map.flags = self->map.flags | 0x80000000;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));

	map = self->map;
	map.pad = 1;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));

	map = self->map;
	map.dma_bits = 0;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));
	map.dma_bits = 65;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));
	map.dma_bits = UINT32_MAX;
	EXPECT_EQ(EINVAL, map_memory(fd, &map));

	/* An IOMMU could do that for one page. */
	if (iommu_translates())
		return;
	map.dma_bits = 12;
	EXPECT_EQ(ENXIO, map_memory(fd, &map));
	/* This changed nothing. */
	EXPECT_EQ(0, map_memory(fd, &self->map));
	EXPECT_EQ(0, unmap_memory(fd, self->map.handle));
}

/* The interface, for what is not the same for all kinds */

FIXTURE(interface)
{
	struct usage before;
	int fd;
	unsigned char *memory;
};

FIXTURE_SETUP(interface)
{
	const char *reason;

	self->before = usage_now();
	self->fd = open_device(&reason);
	fail_unless_missing("edu_dma", self->fd);
	if (self->fd < 0)
		SKIP(return, "%s", reason);
	self->memory = get_memory();
	ASSERT_NE(NULL, self->memory);
}

FIXTURE_TEARDOWN(interface)
{
	close(self->fd);
	EXPECT_NOTHING_LEAKED(self->before);
}

TEST_F(interface, maps_one_page_as_such)
{
	struct edu_dma_map map = map_of(PAGE, self->memory);

	map.length = page_size() + 1;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &map));
	map.addr += page_size() - 1;
	map.length = 2;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &map));
	map.length = 1;
	EXPECT_EQ(0, map_memory(self->fd, &map));
}

TEST_F(interface, mirrors_whole_pages)
{
	struct edu_dma_map map = map_of(MIRROR, self->memory);

	if (!has_kind(self->fd, MIRROR))
		SKIP(return, "the kernel has no mirrors");
	map.addr++;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &map));
	map.length--;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &map));
	map.addr--;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &map));
}

TEST_F(interface, mirrors_without_attributes)
{
	struct edu_dma_map map = map_of(MIRROR, self->memory);

	if (!has_kind(self->fd, MIRROR))
		SKIP(return, "the kernel has no mirrors");
	map.attrs = DMA_ATTR_REQUIRE_COHERENT;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &map));
}

/* Nothing here, or nothing from the end of a page on. */
TEST_F(interface, reads_arguments_from_memory)
{
	static const unsigned long commands[] = {
		EDU_DMA_MAP, EDU_DMA_TRANSFER, EDU_DMA_UNMAP, EDU_DMA_IMPORT,
	};
	unsigned char *end = self->memory + page_size();
	unsigned int i;

	ASSERT_EQ(0, munmap(end, page_size()));
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(-1, ioctl(self->fd, commands[i], NULL));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, ioctl(self->fd, commands[i], end - _IOC_SIZE(commands[i]) / 2));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, ioctl(self->fd, commands[i], -page_size()));
		EXPECT_EQ(EFAULT, errno);
	}
}

TEST_F(interface, maps_nothing_without_a_place_for_the_handle)
{
	struct edu_dma_map *map = (void *)self->memory, again;
	struct usage before = usage_now();
	unsigned char *pages;

	pages = get_memory();
	ASSERT_NE(NULL, pages);
	*map = map_of(LIST, pages);
	again = *map;
	ASSERT_EQ(0, mprotect(self->memory, page_size(), PROT_READ));

	EXPECT_EQ(EFAULT, map_memory(self->fd, map));
	EXPECT_NOTHING_LEAKED(before);
	/* Nor does anything have the first handle. */
	EXPECT_EQ(0, map_memory(self->fd, &again));
	EXPECT_EQ(1U, again.handle);
	EXPECT_EQ(0, unmap_memory(self->fd, again.handle));
	munmap(pages, memory_length());
}

TEST_F(interface, has_no_other_calls)
{
	char buffer[64] = "";

	EXPECT_EQ(-1, ioctl(self->fd, _IO(0xED, 0), buffer));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(self->fd, _IOWR(0xED, 0, char), buffer));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(self->fd, _IOWR(0xED, 4, struct edu_dma_map), buffer));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(self->fd, BAR_EXPORTER_REVOKE, buffer));
	EXPECT_EQ(ENOTTY, errno);

	EXPECT_EQ(-1, read(self->fd, buffer, sizeof(buffer)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, buffer, sizeof(buffer)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(interface, imports_only_dma_bufs)
{
	struct edu_dma_import import = { .fd = -1, .dma_bits = WIDE_BITS };
	int error;

	error = import_dma_buf(self->fd, &import);
	if (error == ENOTTY)
		SKIP(return, "the kernel has nothing that maps device memory for a dma-buf");
	EXPECT_EQ(EBADF, error);
	import.fd = self->fd;
	EXPECT_EQ(EINVAL, import_dma_buf(self->fd, &import));
	import.flags = EDU_DMA_IMPORT_UNAWARE;
	EXPECT_EQ(EINVAL, import_dma_buf(self->fd, &import));
}

static void ignore(int signal)
{
	(void)signal;
}

/* One process lets the device work while another one waits, and gets signals. */
TEST_F(interface, does_not_mind_signals)
{
	const struct itimerval every_10ms = { { 0, 10000 }, { 0, 10000 } };
	const struct sigaction action = { .sa_handler = ignore };
	struct edu_dma_map map = map_of(PAGE, self->memory), second;
	unsigned int i;
	pid_t pid;

	ASSERT_EQ(0, map_memory(self->fd, &map));
	second = map_of(PAGE, self->memory + page_size());

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		for (i = 0; i < 2; i++)
			if (touch(self->fd, map.handle))
				_exit(1);
		_exit(0);
	}

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every_10ms, NULL);
	EXPECT_EQ(0, touch(self->fd, map.handle));
	EXPECT_EQ(0, map_memory(self->fd, &second));
	EXPECT_EQ(0, unmap_memory(self->fd, second.handle));
	setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
	EXPECT_EQ(0, exit_status(pid));
}

/* What becomes of mappings */

FIXTURE(mapping)
{
	struct subject subject;
	char slot[NAME_MAX + 1];
	int ours[2];
	int theirs[2];
};

FIXTURE_VARIANT(mapping)
{
	enum kind kind;
};

FIXTURE_VARIANT_ADD(mapping, page)
{
	.kind = PAGE,
};

FIXTURE_VARIANT_ADD(mapping, list)
{
	.kind = LIST,
};

FIXTURE_VARIANT_ADD(mapping, mirror)
{
	.kind = MIRROR,
};

FIXTURE_VARIANT_ADD(mapping, import)
{
	.kind = IMPORT,
};

FIXTURE_SETUP(mapping)
{
	const char *reason;

	reason = get_subject(&self->subject, variant->kind);
	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(find_device_slot(&self->subject, self->slot, sizeof(self->slot)));

	/* We hear what they say, and they hear what we say. */
	ASSERT_EQ(0, pipe(self->ours));
	ASSERT_EQ(0, pipe(self->theirs));
}

FIXTURE_TEARDOWN(mapping)
{
	put_subject(&self->subject);
	/* In case that the test has not got to that. */
	tell_driver(EDU_DRIVER, "bind", self->slot);
	EXPECT_NOTHING_LEAKED(self->subject.before);
}

TEST_F(mapping, is_for_transfers_that_fit)
{
	const __u64 length = mapping_length(variant->kind);
	struct edu_dma_transfer padded = { .length = 1, .pad = 1 };
	const int fd = self->subject.fd;
	__u32 handle;

	ASSERT_EQ(0, map_subject(&self->subject, &handle));

	/* The mapping */
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_TO_DEVICE, length, 1));
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_TO_DEVICE, length - 1, 2));
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_FROM_DEVICE, length, 1));
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_FROM_DEVICE, UINT64_MAX, 2));

	/* The device */
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_TO_DEVICE, 0, 0));
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_TO_DEVICE, 0,
				   EDU_DMA_MAX_TRANSFER + 1));
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_TO_DEVICE, 0, UINT32_MAX));
	EXPECT_EQ(EINVAL, transfer(fd, handle, EDU_DMA_FROM_DEVICE + 1, 0, 1));
	EXPECT_EQ(EINVAL, transfer(fd, handle, UINT32_MAX, 0, 1));

	/* The interface */
	padded.handle = handle;
	EXPECT_EQ(-1, ioctl(fd, EDU_DMA_TRANSFER, &padded));
	EXPECT_EQ(EINVAL, errno);

	/* The longest transfer, up to the last byte */
	EXPECT_EQ(0, transfer(fd, handle, EDU_DMA_TO_DEVICE, length - EDU_DMA_MAX_TRANSFER,
			      EDU_DMA_MAX_TRANSFER));
}

TEST_F(mapping, has_a_handle_in_its_file_until_it_is_unmapped)
{
	struct edu_dma_unmap padded = { .pad = 1 };
	const int fd = self->subject.fd;
	__u32 handle;
	int other;

	EXPECT_EQ(ENOENT, unmap_memory(fd, 0));
	EXPECT_EQ(ENOENT, unmap_memory(fd, 1));
	EXPECT_EQ(ENOENT, unmap_memory(fd, UINT32_MAX));
	EXPECT_EQ(ENOENT, touch(fd, 0));

	ASSERT_EQ(0, map_subject(&self->subject, &handle));
	other = open_again(&self->subject);
	ASSERT_GE(other, 0);
	EXPECT_EQ(ENOENT, touch(other, handle));
	EXPECT_EQ(ENOENT, unmap_memory(other, handle));
	close(other);

	padded.handle = handle;
	EXPECT_EQ(-1, ioctl(fd, EDU_DMA_UNMAP, &padded));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, unmap_memory(fd, handle));
	EXPECT_EQ(ENOENT, unmap_memory(fd, handle));
	EXPECT_EQ(ENOENT, touch(fd, handle));
}

/* The mask is the device's, and a mapping was made for the mask of its time. */
TEST_F(mapping, keeps_the_mask)
{
	struct edu_dma_map map = map_of(PAGE, get_memory());
	__u32 handle;
	int other;

	other = open_again(&self->subject);
	ASSERT_GE(other, 0);
	ASSERT_EQ(0, map_memory(other, &map));

	EXPECT_EQ(EBUSY, map_with(self->subject.fd, &self->subject, WIDE_BITS - 1, &handle));
	EXPECT_EQ(0, map_with(self->subject.fd, &self->subject, WIDE_BITS, &handle));

	/* Closing the file unmaps what is left. */
	close(other);
	EXPECT_EQ(0, unmap_memory(self->subject.fd, handle));
	EXPECT_EQ(0, map_with(self->subject.fd, &self->subject, WIDE_BITS - 1, &handle));
	EXPECT_EQ(0, unmap_memory(self->subject.fd, handle));
	EXPECT_EQ(EINVAL, map_with(self->subject.fd, &self->subject, 0, &handle));
	EXPECT_EQ(EINVAL, map_with(self->subject.fd, &self->subject, 65, &handle));
}

TEST_F(mapping, lives_as_long_as_anybody_has_the_file)
{
	const struct usage before = usage_now();
	__u32 handle;
	pid_t pid;
	int file, copy;

	file = open_again(&self->subject);
	ASSERT_GE(file, 0);
	ASSERT_EQ(0, map_with(file, &self->subject, WIDE_BITS, &handle));
	copy = dup(file);
	ASSERT_GE(copy, 0);
	close(file);
	EXPECT_EQ(0, unmap_memory(copy, handle));

	ASSERT_EQ(0, map_with(copy, &self->subject, WIDE_BITS, &handle));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (!wait_pipe(self->theirs[0]))
			_exit(EPIPE);
		/* And leave another one for the end. */
		_exit(unmap_memory(copy, handle) ?:
		      map_with(copy, &self->subject, WIDE_BITS, &handle));
	}
	close(copy);
	signal_pipe(self->theirs[1]);
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_NOTHING_LEAKED(before);
}

/* Pins and dma-bufs do not need the process, but a mirror is one of its memory. */
TEST_F(mapping, may_survive_the_process_that_made_it)
{
	const int fd = self->subject.fd;
	__u32 handle = 0;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int error = map_subject(&self->subject, &handle);

		if (!error && write(self->ours[1], &handle, sizeof(handle)) < 0)
			error = errno;
		_exit(error);
	}
	EXPECT_EQ(0, exit_status(pid));
	ASSERT_LT(0, read(self->ours[0], &handle, sizeof(handle)));

	EXPECT_EQ(variant->kind == MIRROR ? EFAULT : 0, touch(fd, handle));
	EXPECT_EQ(0, unmap_memory(fd, handle));
}

/* The same for memory that the process gives up: the device goes on with what it has. */
TEST_F(mapping, may_survive_the_memory)
{
	static const char data[] = "written before the memory was given up";
	const struct usage before = usage_now();
	const int fd = self->subject.fd;
	struct edu_dma_map other;
	unsigned char *memory;
	__u32 handle;

	if (variant->kind != IMPORT)
		memcpy(self->subject.memory, data, sizeof(data));
	ASSERT_EQ(0, map_subject(&self->subject, &handle));
	if (variant->kind == IMPORT) {
		EXPECT_EQ(0, close(self->subject.dma_buf));
		self->subject.dma_buf = -1;
	} else {
		EXPECT_EQ(0, munmap(self->subject.memory, memory_length()));
		self->subject.memory = NULL;
	}

	if (variant->kind == MIRROR) {
		EXPECT_EQ(EFAULT, touch(fd, handle));
		return;
	}
	EXPECT_EQ(0, transfer(fd, handle, EDU_DMA_TO_DEVICE, 0, sizeof(data)));
	if (variant->kind == IMPORT) {
		EXPECT_EQ(before.dma_bufs, usage_now().dma_bufs);
		EXPECT_EQ(0, unmap_memory(fd, handle));
		if (before.dma_bufs >= 0)
			EXPECT_EQ(before.dma_bufs - 1, usage_now().dma_bufs);
		return;
	}

	/* Without the attribute the data arrive when the memory is unmapped at last. */
	memory = get_memory();
	ASSERT_NE(NULL, memory);
	other = map_of(PAGE, memory);
	ASSERT_EQ(0, map_memory(fd, &other));
	EXPECT_EQ(0, transfer(fd, other.handle, EDU_DMA_FROM_DEVICE, 0, sizeof(data)));
	EXPECT_EQ(0, unmap_memory(fd, other.handle));
	EXPECT_EQ(0, memcmp(memory, data, sizeof(data)));

	EXPECT_EQ(before.pins + (long long)(mapping_length(variant->kind) / page_size()),
		  usage_now().pins);
	EXPECT_EQ(0, unmap_memory(fd, handle));
	EXPECT_NOTHING_LEAKED(before);
}

/*
 * If it is killed, not at once: the device cannot be told to stop, and nobody else may
 * have the memory before.
 */
TEST_F(mapping, ends_soon_after_the_process)
{
	const struct usage before = usage_now();
	long long start;
	__u32 handle;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(map_with(open_again(&self->subject), &self->subject, WIDE_BITS,
			       &handle));
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_NOTHING_LEAKED(before);

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int fd = open_again(&self->subject);

		if (map_with(fd, &self->subject, WIDE_BITS, &handle))
			_exit(1);
		signal_pipe(self->ours[1]);
		while (!transfer(fd, handle, EDU_DMA_TO_DEVICE, 0, EDU_DMA_MAX_TRANSFER))
			;
		_exit(1);
	}

	ASSERT_TRUE(wait_pipe(self->ours[0]));
	ASSERT_TRUE(wait_for_transfer(&self->subject));
	start = now_ms();
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_GT(SOON_MS, now_ms() - start);
	EXPECT_NOTHING_LEAKED(before);
}

TEST_F(mapping, ends_with_the_program)
{
	static char *const arguments[] = { "lingers", NULL };
	const struct usage before = usage_now();
	char fds[64];
	char *const environment[] = { fds, NULL };
	__u32 handle;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (map_with(open_again(&self->subject), &self->subject, WIDE_BITS, &handle))
			_exit(1);
		snprintf(fds, sizeof(fds), LINGER "=%d,%d", self->ours[1], self->theirs[0]);
		execve("/proc/self/exe", arguments, environment);
		_exit(1);
	}

	/* Another program runs now, in the same process. */
	close(self->ours[1]);
	ASSERT_TRUE(wait_pipe(self->ours[0]));
	EXPECT_NOTHING_LEAKED(before);
	signal_pipe(self->theirs[1]);
	EXPECT_EQ(0, exit_status(pid));
}

TEST_F(mapping, ends_with_the_device)
{
	const int fd = self->subject.fd;
	__u32 handle, again;

	ASSERT_EQ(0, map_subject(&self->subject, &handle));
	if (variant->kind == MIRROR)
		EXPECT_EQ(0, touch(fd, handle));
	ASSERT_TRUE(tell_driver(EDU_DRIVER, "unbind", self->slot));
	EXPECT_EQ(ENODEV, touch(fd, handle));
	EXPECT_EQ(ENODEV, unmap_memory(fd, handle));
	EXPECT_EQ(ENODEV, map_subject(&self->subject, &again));
	EXPECT_EQ(-ENOENT, open_again(&self->subject));

	ASSERT_TRUE(tell_driver(EDU_DRIVER, "bind", self->slot));
	/* The file stays with the device that was. */
	EXPECT_EQ(ENODEV, unmap_memory(fd, handle));
	EXPECT_EQ(ENODEV, map_subject(&self->subject, &again));
	close(fd);
	self->subject.fd = open_again(&self->subject);
	ASSERT_GE(self->subject.fd, 0);
	EXPECT_EQ(0, map_subject(&self->subject, &handle));
}

/**
 * struct worker - a thread that lets the device work
 * @thread: the thread
 * @fd: the file
 * @handle: the mapping
 * @offset: where in the mapping
 * @end: when to stop, by now_ms()
 * @done: how many transfers succeeded
 * @error: what ended it
 */
struct worker {
	pthread_t thread;
	int fd;
	__u32 handle;
	__u64 offset;
	long long end;
	unsigned int done;
	int error;
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	do {
		worker->error = transfer(worker->fd, worker->handle, EDU_DMA_FROM_DEVICE,
					 worker->offset, EDU_DMA_MAX_TRANSFER);
		if (!worker->error)
			worker->done++;
	} while (!worker->error && now_ms() < worker->end);
	return NULL;
}

/* If there is more than one page, each transfer takes two steps. */
static bool start(struct worker *worker, const struct subject *subject)
{
	worker->offset = subject->kind == PAGE ? 0 : page_size() - EDU_DMA_MAX_TRANSFER / 2;
	worker->end = now_ms() + SOON_MS;
	return !pthread_create(&worker->thread, NULL, work, worker) &&
	       wait_for_transfer(subject);
}

static bool finish(struct worker *worker)
{
	struct timespec soon;

	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec += SOON_MS / 1000;
	return !pthread_timedjoin_np(worker->thread, NULL, &soon);
}

/* The file is closed when nobody uses it any more. */
TEST_F(mapping, is_not_closed_during_a_transfer)
{
	struct usage before = usage_now();
	struct worker worker = { .fd = open_again(&self->subject) };

	ASSERT_GE(worker.fd, 0);
	ASSERT_EQ(0, map_with(worker.fd, &self->subject, WIDE_BITS, &worker.handle));
	ASSERT_TRUE(start(&worker, &self->subject));
	EXPECT_EQ(0, close(worker.fd));
	ASSERT_TRUE(finish(&worker));
	EXPECT_LT(0U, worker.done);
	EXPECT_EQ(EBADF, worker.error);
	EXPECT_NOTHING_LEAKED(before);
}

TEST_F(mapping, is_unmapped_during_transfers)
{
	struct usage before = usage_now();
	struct worker worker = { .fd = self->subject.fd };

	ASSERT_EQ(0, map_subject(&self->subject, &worker.handle));
	ASSERT_TRUE(start(&worker, &self->subject));
	EXPECT_EQ(0, unmap_memory(worker.fd, worker.handle));
	ASSERT_TRUE(finish(&worker));
	EXPECT_EQ(ENOENT, worker.error);
	EXPECT_NOTHING_LEAKED(before);
}

TEST_F(mapping, ends_with_the_device_during_transfers)
{
	struct worker worker = { .fd = self->subject.fd };
	long long began;

	ASSERT_EQ(0, map_subject(&self->subject, &worker.handle));
	ASSERT_TRUE(start(&worker, &self->subject));
	began = now_ms();
	ASSERT_TRUE(tell_driver(EDU_DRIVER, "unbind", self->slot));
	EXPECT_GT(SOON_MS, now_ms() - began);
	ASSERT_TRUE(finish(&worker));
	EXPECT_EQ(ENODEV, worker.error);

	ASSERT_TRUE(tell_driver(EDU_DRIVER, "bind", self->slot));
	close(self->subject.fd);
	self->subject.fd = open_again(&self->subject);
	ASSERT_GE(self->subject.fd, 0);
	EXPECT_EQ(0, map_subject(&self->subject, &worker.handle));
	EXPECT_EQ(0, touch(self->subject.fd, worker.handle));
}

/* Mappings of all kinds at a time, in one file */

FIXTURE(crowd)
{
	struct subject subjects[NR_KINDS];
	unsigned int nr;
	char slot[NAME_MAX + 1];
	int fd;
};

FIXTURE_SETUP(crowd)
{
	const char *reason;
	enum kind kind;

	for (kind = 0; kind < NR_KINDS; kind++) {
		reason = get_subject(&self->subjects[self->nr], kind);
		if (!reason)
			self->nr++;
		else if (kind == PAGE)
			SKIP(return, "%s", reason);
	}
	self->fd = open_again(&self->subjects[0]);
	ASSERT_GE(self->fd, 0);
	ASSERT_TRUE(find_device_slot(&self->subjects[0], self->slot, sizeof(self->slot)));
}

FIXTURE_TEARDOWN(crowd)
{
	unsigned int i;

	for (i = 0; i < self->nr; i++)
		put_subject(&self->subjects[i]);
	close(self->fd);
	/* In case that the test has not got to that. */
	tell_driver(EDU_DRIVER, "bind", self->slot);
	EXPECT_NOTHING_LEAKED(self->subjects[0].before);
}

TEST_F(crowd, ends_with_the_file)
{
	unsigned int i;
	__u32 handle;

	for (i = 0; i < self->nr; i++)
		EXPECT_EQ(0, map_with(self->fd, &self->subjects[i], WIDE_BITS, &handle));
}

TEST_F(crowd, ends_with_the_device)
{
	struct worker worker = { .fd = self->fd };
	const struct usage before = usage_now();
	__u32 handles[NR_KINDS];
	unsigned int i;

	for (i = 0; i < self->nr; i++)
		ASSERT_EQ(0, map_with(self->fd, &self->subjects[i], WIDE_BITS, &handles[i]));
	worker.handle = handles[self->nr - 1];
	ASSERT_TRUE(start(&worker, &self->subjects[self->nr - 1]));
	ASSERT_TRUE(tell_driver(EDU_DRIVER, "unbind", self->slot));
	ASSERT_TRUE(finish(&worker));
	EXPECT_EQ(ENODEV, worker.error);
	for (i = 0; i < self->nr; i++) {
		EXPECT_EQ(ENODEV, touch(self->fd, handles[i]));
		EXPECT_EQ(ENODEV, unmap_memory(self->fd, handles[i]));
	}
	EXPECT_EQ(before.mappings, usage_now().mappings);

	ASSERT_TRUE(tell_driver(EDU_DRIVER, "bind", self->slot));
	close(self->fd);
	self->fd = open_again(&self->subjects[0]);
	ASSERT_GE(self->fd, 0);
	for (i = 0; i < self->nr; i++)
		EXPECT_EQ(0, map_with(self->fd, &self->subjects[i], WIDE_BITS, &handles[i]));
}

/**
 * struct player - a thread that does what it likes in a file of several threads
 * @thread: the thread
 * @fd: the file
 * @subject: what it maps, for itself alone; NULL if it only uses what others map
 * @end: when to stop, by now_ms()
 * @seed: of its random numbers
 * @mapped: how many times it has mapped
 * @moved: how many transfers succeeded
 * @surprise: the first error that should not be, or 0
 */
struct player {
	pthread_t thread;
	int fd;
	const struct subject *subject;
	long long end;
	unsigned int seed;
	unsigned int mapped;
	unsigned int moved;
	int surprise;
};

static void note(struct player *player, int error)
{
	if (error && error != ENOENT && !player->surprise)
		player->surprise = error;
}

static void *play(void *arg)
{
	struct player *player = arg;
	__u32 handle = 0;
	int error;

	while (now_ms() < player->end) {
		if (player->subject) {
			/* To map the same memory twice would be an error of another kind. */
			error = map_with(player->fd, player->subject, WIDE_BITS, &handle);
			note(player, error == ENOENT ? EINVAL : error);
			player->mapped += !error;
		} else {
			handle = 1 + rand_r(&player->seed) % (NR_KINDS + 1);
		}

		if (rand_r(&player->seed) % 4 == 0) {
			error = touch(player->fd, handle);
			note(player, error);
			player->moved += !error;
		}

		/* Others may have been faster, and the handle may be another's by now. */
		if (player->subject || rand_r(&player->seed) % 4 == 0)
			note(player, unmap_memory(player->fd, handle));
		else
			usleep(1000);
	}
	return NULL;
}

TEST_F(crowd, is_safe_with_several_threads)
{
	struct player players[NR_KINDS + 2] = {};
	unsigned int i, nr = self->nr + 2, moved = 0;

	for (i = 0; i < nr; i++) {
		players[i].fd = self->fd;
		players[i].subject = i < self->nr ? &self->subjects[i] : NULL;
		players[i].end = now_ms() + PLAY_MS;
		players[i].seed = i + 1;
		ASSERT_EQ(0, pthread_create(&players[i].thread, NULL, play, &players[i]));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, pthread_join(players[i].thread, NULL));
		EXPECT_EQ(0, players[i].surprise);
		EXPECT_TRUE(players[i].mapped || !players[i].subject);
		moved += players[i].moved;
	}
	EXPECT_LT(0U, moved);

	/* With the last mapping, the last handle is free again. */
	for (i = 1; i <= NR_KINDS + 2; i++)
		EXPECT_EQ(ENOENT, unmap_memory(self->fd, i));
}

/* The exporter of device memory */

FIXTURE(exporter)
{
	struct usage before;
	int fd;
	char slot[NAME_MAX + 1];
	__u64 length;
};

FIXTURE_SETUP(exporter)
{
	struct stat bar;

	self->fd = open_test_device("bar_exporter", 0);
	fail_unless_missing("bar_exporter", self->fd);
	if (self->fd < 0)
		SKIP(return, NO_EXPORTER);
	self->before = usage_now();
	ASSERT_TRUE(find_slot(EXPORTER_SYSFS, self->slot, sizeof(self->slot)));
	ASSERT_EQ(0, stat(EXPORTER_SYSFS "/resource2", &bar));
	self->length = bar.st_size;
	ASSERT_GE(self->length, page_size());
}

FIXTURE_TEARDOWN(exporter)
{
	close(self->fd);
	tell_driver(EXPORTER_DRIVER, "bind", self->slot);
	EXPECT_NOTHING_LEAKED(self->before);
}

static int export_part(int fd, __u64 offset, __u64 length, __u32 pad)
{
	struct bar_exporter_export arg = { .offset = offset, .length = length, .pad = pad };

	if (ioctl(fd, BAR_EXPORTER_EXPORT, &arg))
		return errno;
	close(arg.fd);
	return 0;
}

TEST_F(exporter, exports_whole_pages_of_the_memory)
{
	const __u64 length = self->length, page = page_size();

	EXPECT_EQ(EINVAL, export_part(self->fd, 0, 0, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, 0, 1, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, 1, page, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, 0, page, 1));
	EXPECT_EQ(EINVAL, export_part(self->fd, 0, length + page, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, length, page, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, length - page, 2 * page, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, -page, 2 * page, 0));
	EXPECT_EQ(EINVAL, export_part(self->fd, page, -page, 0));
	EXPECT_EQ(0, export_part(self->fd, 0, length, 0));
	EXPECT_EQ(0, export_part(self->fd, length - page, page, 0));
}

TEST_F(exporter, exports_nothing_without_a_place_for_it)
{
	struct bar_exporter_export *arg = get_memory();
	struct rlimit limit, none;
	int next;

	ASSERT_NE(NULL, arg);
	arg->length = page_size();
	ASSERT_EQ(0, mprotect(arg, page_size(), PROT_READ));
	next = dup(self->fd);
	close(next);

	EXPECT_EQ(-1, ioctl(self->fd, BAR_EXPORTER_EXPORT, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->fd, BAR_EXPORTER_EXPORT, arg));
	EXPECT_EQ(EFAULT, errno);

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = next;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(EMFILE, export_part(self->fd, 0, page_size(), 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));

	/* Nor has a file descriptor been lost. */
	EXPECT_EQ(next, dup(self->fd));
	close(next);
}

TEST_F(exporter, has_no_other_calls)
{
	char buffer[64] = "";

	EXPECT_EQ(-1, ioctl(self->fd, _IO(0xBA, 0), buffer));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(self->fd, EDU_DMA_MAP, buffer));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, read(self->fd, buffer, sizeof(buffer)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, buffer, sizeof(buffer)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

FIXTURE(imported)
{
	struct subject subject;
	char slot[NAME_MAX + 1];
};

FIXTURE_SETUP(imported)
{
	const char *reason;

	reason = get_subject(&self->subject, IMPORT);
	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(find_slot(EXPORTER_SYSFS, self->slot, sizeof(self->slot)));
}

FIXTURE_TEARDOWN(imported)
{
	put_subject(&self->subject);
	tell_driver(EXPORTER_DRIVER, "bind", self->slot);
	EXPECT_NOTHING_LEAKED(self->subject.before);
}

TEST_F(imported, refuses_importers_that_cannot_be_told)
{
	struct edu_dma_import import = {
		.fd = self->subject.dma_buf,
		.dma_bits = WIDE_BITS,
		.flags = EDU_DMA_IMPORT_UNAWARE,
	};

	EXPECT_EQ(EOPNOTSUPP, import_dma_buf(self->subject.fd, &import));
	import.flags = EDU_DMA_IMPORT_UNAWARE << 1;
	EXPECT_EQ(EINVAL, import_dma_buf(self->subject.fd, &import));
	import.flags = EDU_DMA_IMPORT_UNAWARE | 0x80000000;
	EXPECT_EQ(EINVAL, import_dma_buf(self->subject.fd, &import));
}

TEST_F(imported, is_not_mapped_without_a_place_for_the_handle)
{
	struct edu_dma_import import = { .fd = self->subject.dma_buf, .dma_bits = WIDE_BITS };
	struct usage before = usage_now();
	struct edu_dma_import *arg;
	unsigned char *end;

	arg = get_memory();
	ASSERT_NE(NULL, arg);
	*arg = import;
	ASSERT_EQ(0, mprotect(arg, page_size(), PROT_READ));
	EXPECT_EQ(EFAULT, import_dma_buf(self->subject.fd, arg));
	EXPECT_NOTHING_LEAKED(before);

	/* There is one for the length, but not for the handle. */
	ASSERT_EQ(0, mprotect(arg, page_size(), PROT_READ | PROT_WRITE));
	end = (unsigned char *)arg + page_size();
	arg = (void *)(end - offsetof(struct edu_dma_import, handle));
	memcpy(arg, &import, offsetof(struct edu_dma_import, handle));
	ASSERT_EQ(0, mprotect(end, page_size(), PROT_READ));
	EXPECT_EQ(EFAULT, import_dma_buf(self->subject.fd, arg));
	EXPECT_NOTHING_LEAKED(before);

	EXPECT_EQ(0, import_dma_buf(self->subject.fd, &import));
	EXPECT_EQ(1U, import.handle);
	EXPECT_EQ(memory_length(), import.length);
}

TEST_F(imported, is_gone_once_revoked)
{
	__u32 handle, again;

	ASSERT_EQ(0, map_subject(&self->subject, &handle));
	ASSERT_EQ(0, touch(self->subject.fd, handle));
	EXPECT_EQ(0, ioctl(self->subject.exporter, BAR_EXPORTER_REVOKE));
	EXPECT_EQ(ENODEV, touch(self->subject.fd, handle));
	EXPECT_EQ(ENODEV, map_subject(&self->subject, &again));
	EXPECT_EQ(0, ioctl(self->subject.exporter, BAR_EXPORTER_REVOKE));
	EXPECT_EQ(0, unmap_memory(self->subject.fd, handle));
	EXPECT_EQ(ENOENT, unmap_memory(self->subject.fd, handle));

	/* Memory that is exported later is not. */
	close(self->subject.dma_buf);
	ASSERT_EQ(0, export_memory(self->subject.exporter, &self->subject.dma_buf));
	EXPECT_EQ(0, map_subject(&self->subject, &handle));
}

TEST_F(imported, ends_with_the_exporter)
{
	struct worker worker = { .fd = self->subject.fd };
	const int exporter = self->subject.exporter;
	__u32 handle;
	int dma_buf;

	ASSERT_EQ(0, map_subject(&self->subject, &worker.handle));
	ASSERT_TRUE(start(&worker, &self->subject));
	ASSERT_TRUE(tell_driver(EXPORTER_DRIVER, "unbind", self->slot));
	ASSERT_TRUE(finish(&worker));
	EXPECT_EQ(ENODEV, worker.error);
	EXPECT_EQ(ENODEV, map_subject(&self->subject, &handle));
	EXPECT_EQ(ENODEV, export_memory(exporter, &dma_buf));
	EXPECT_EQ(-1, ioctl(exporter, BAR_EXPORTER_REVOKE));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-ENOENT, open_test_device("bar_exporter", 0));

	ASSERT_TRUE(tell_driver(EXPORTER_DRIVER, "bind", self->slot));
	/* The files stay with the exporter that was. */
	EXPECT_EQ(ENODEV, export_memory(exporter, &dma_buf));
	EXPECT_EQ(ENODEV, touch(self->subject.fd, worker.handle));
	EXPECT_EQ(0, unmap_memory(self->subject.fd, worker.handle));
	put_subject(&self->subject);
	EXPECT_NOTHING_LEAKED(self->subject.before);

	ASSERT_EQ(NULL, get_subject(&self->subject, IMPORT));
	EXPECT_EQ(0, map_subject(&self->subject, &handle));
}

/* Calls that fail half way */

/* Nothing here has as many places to fail. */
#define MAX_FAULTS	200

/* What is written to files of fault injection, and what was there before. */
static const struct {
	const char *file;
	const char *text;
} knobs[] = {
	/* Nothing fails but what the tests ask for, and then nothing is printed. */
	{ "failslab/probability", "0" },
	{ "failslab/verbose", "0" },
	{ "failslab/times", "-1" },
	{ "failslab/cache-filter", "N" },
	{ "failslab/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/probability", "0" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_page_alloc/times", "-1" },
	{ "fail_page_alloc/min-order", "0" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	/* These exist only with their own options. */
	{ "fail_usercopy/probability", "0" },
	{ "fail_usercopy/verbose", "0" },
	{ "fail_usercopy/times", "-1" },
	{ "fail_futex/verbose", "0" },
};

#define NR_KNOBS	ARRAY_SIZE(knobs)

struct knob_value {
	char text[32];
};

static void turn_knobs(struct knob_value *values)
{
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < NR_KNOBS; i++) {
		snprintf(path, sizeof(path), FAULT_INJECTION "%s", knobs[i].file);
		read_file(path, values[i].text, sizeof(values[i].text));
		write_file(path, knobs[i].text);
	}
}

static void turn_knobs_back(const struct knob_value *values)
{
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < NR_KNOBS; i++) {
		snprintf(path, sizeof(path), FAULT_INJECTION "%s", knobs[i].file);
		if (values[i].text[0])
			write_file(path, values[i].text);
	}
}

/**
 * struct victim - what the call that is to fail works on
 * @subject: what it maps
 * @pages: the memory of @subject, which may be somewhere else in each call
 * @handle: the mapping
 * @fd: a file that the call returns, or closes
 */
struct victim {
	struct subject subject;
	unsigned char *pages;
	__u32 handle;
	int fd;
};

/**
 * struct call - a call that is to fail, once at each place where it can
 * @name: what it does
 * @prepare: optional: what it needs
 * @make: the call; returns 0 or an errno
 * @clean_up: optional: take back what @prepare and @make have done, if that is not 0
 * @errors: which @make may return, up to 0
 */
struct call {
	const char *name;
	int (*prepare)(struct victim *victim);
	int (*make)(struct victim *victim);
	void (*clean_up)(struct victim *victim, int error);
	int errors[4];
};

static bool may_return(const struct call *call, int error)
{
	unsigned int i;

	for (i = 0; call->errors[i]; i++)
		if (call->errors[i] == error)
			return true;
	return !error;
}

/*
 * dma-debug has the cachelines that are mapped in a tree, and turns itself off for good if
 * it gets no memory for a node. This and fill_reserve() keep the faults off that: it needs
 * no new node for a cacheline if another one of the same 4096 bytes is there.
 */
static int occupy_tree(struct victim *victim)
{
	struct edu_dma_map map = { .length = 1, .dma_bits = WIDE_BITS, .flags = EDU_DMA_MAP_PAGE };
	unsigned int i;
	int error = 0;

	for (i = 0; victim->pages && !error && i < NR_PAGES; i++) {
		map.addr = (uintptr_t)victim->pages + i * page_size() + 2048;
		error = map_memory(victim->subject.fd, &map);
	}
	return error;
}

/*
 * A radix tree falls back on a reserve of nodes, one for each CPU, which the kernel fills
 * up when it makes a process. After fork() there would be page faults, which are places to
 * fail as well; not so after vfork().
 */
static void fill_reserve(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/*
 * Have the nth thing fail that can. @injected tells whether there are as many. Reading
 * that, and putting an end to it, can also fail.
 */
static int make_with_fault(const struct call *call, struct victim *victim, int fail_nth,
			   unsigned int nth, bool *injected)
{
	char text[16], left[16] = "";
	ssize_t length;
	int error;

	fill_reserve();
	length = snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(fail_nth, text, length, 0) != length)
		return -1;
	error = call->make(victim);
	length = pread(fail_nth, left, sizeof(left) - 1, 0);
	while (pwrite(fail_nth, "0", 1, 0) != 1)
		;
	*injected = nth && length > 0 && !strcmp(left, "0\n");
	return error;
}

/* A place far from all other memory, so that page tables come and go with what is there. */
static void *find_lonely_place(void)
{
	const size_t length = 64 << 20, table = 2 << 20;
	uintptr_t hole;

	hole = (uintptr_t)mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap((void *)hole, length);
	return (void *)((hole + length / 2) & ~(table - 1));
}

/* Have the memory there as if it was new, but where dma-debug knows it. */
static int view_again(struct victim *victim)
{
	if (!victim->pages)
		return 0;
	munmap(victim->subject.memory, memory_length());
	if (mremap(victim->pages, 0, memory_length(), MREMAP_MAYMOVE | MREMAP_FIXED,
		   victim->subject.memory) == MAP_FAILED)
		return errno;
	return 0;
}

static const char *get_victim(struct victim *victim, enum kind kind)
{
	const char *reason;

	*victim = (struct victim){ .fd = -1 };
	reason = get_subject(&victim->subject, kind);
	if (reason || kind == IMPORT)
		return reason;

	munmap(victim->subject.memory, memory_length());
	victim->subject.memory = find_lonely_place();
	victim->pages = mmap(NULL, memory_length(), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (victim->pages == MAP_FAILED)
		return "no shared memory";
	memset(victim->pages, 0, memory_length());
	return NULL;
}

static int prepare_map(struct victim *victim)
{
	return view_again(victim);
}

static int make_map(struct victim *victim)
{
	return map_subject(&victim->subject, &victim->handle);
}

static void clean_up_map(struct victim *victim, int error)
{
	if (!error)
		unmap_memory(victim->subject.fd, victim->handle);
}

/*
 * A single page fails with EIO for want of anything, as the DMA API does not say why: an
 * IOMMU now and then needs a page for its tables.
 */
static const struct call map_call = {
	.name = "map",
	.prepare = prepare_map,
	.make = make_map,
	.clean_up = clean_up_map,
	.errors = { ENOMEM, EFAULT, EIO },
};

static int make_transfer(struct victim *victim)
{
	return touch(victim->subject.fd, victim->handle);
}

/* A mirror keeps what the transfer has mapped. */
static void clean_up_transfer(struct victim *victim, int error)
{
	(void)error;
	if (victim->pages)
		munmap(victim->subject.memory, memory_length());
}

static const struct call transfer_call = {
	.name = "transfer",
	.prepare = prepare_map,
	.make = make_transfer,
	.clean_up = clean_up_transfer,
	.errors = { ENOMEM, EFAULT, EIO },
};

static int prepare_unmap(struct victim *victim)
{
	return view_again(victim) ?: map_subject(&victim->subject, &victim->handle);
}

static int make_unmap(struct victim *victim)
{
	return unmap_memory(victim->subject.fd, victim->handle);
}

static void clean_up_unmap(struct victim *victim, int error)
{
	if (error)
		unmap_memory(victim->subject.fd, victim->handle);
}

static const struct call unmap_call = {
	.name = "unmap",
	.prepare = prepare_unmap,
	.make = make_unmap,
	.clean_up = clean_up_unmap,
	.errors = { EFAULT },
};

static int make_open(struct victim *victim)
{
	victim->fd = open_again(&victim->subject);
	return victim->fd < 0 ? -victim->fd : 0;
}

static void clean_up_fd(struct victim *victim, int error)
{
	if (!error)
		close(victim->fd);
}

static const struct call open_call = {
	.name = "open",
	.make = make_open,
	.clean_up = clean_up_fd,
	.errors = { ENOMEM, EFAULT },
};

static int prepare_close(struct victim *victim)
{
	return view_again(victim) ?: make_open(victim) ?:
	       map_with(victim->fd, &victim->subject, WIDE_BITS, &victim->handle);
}

static int make_close(struct victim *victim)
{
	return close(victim->fd) ? errno : 0;
}

static const struct call close_call = {
	.name = "close",
	.prepare = prepare_close,
	.make = make_close,
};

static int make_open_exporter(struct victim *victim)
{
	victim->fd = open_test_device("bar_exporter", 0);
	return victim->fd < 0 ? -victim->fd : 0;
}

static const struct call open_exporter_call = {
	.name = "open exporter",
	.make = make_open_exporter,
	.clean_up = clean_up_fd,
	.errors = { ENOMEM, EFAULT },
};

static int make_export(struct victim *victim)
{
	return export_memory(victim->subject.exporter, &victim->fd);
}

static const struct call export_call = {
	.name = "export",
	.make = make_export,
	.clean_up = clean_up_fd,
	.errors = { ENOMEM, EFAULT },
};

static int prepare_revoke(struct victim *victim)
{
	struct edu_dma_import import = { .dma_bits = WIDE_BITS };
	int error;

	error = make_export(victim);
	if (error)
		return error;
	import.fd = victim->fd;
	error = import_dma_buf(victim->subject.fd, &import);
	victim->handle = import.handle;
	return error;
}

static int make_revoke(struct victim *victim)
{
	return ioctl(victim->subject.exporter, BAR_EXPORTER_REVOKE) ? errno : 0;
}

static void clean_up_revoke(struct victim *victim, int error)
{
	(void)error;
	unmap_memory(victim->subject.fd, victim->handle);
	close(victim->fd);
}

static const struct call revoke_call = {
	.name = "revoke",
	.prepare = prepare_revoke,
	.make = make_revoke,
	.clean_up = clean_up_revoke,
};

/**
 * struct faults - what it takes to have a call fail
 * @values: what to write to the knobs in the end
 * @victim: what the call works on
 * @fail_nth: the file that makes it fail
 * @had_dma_debug: dma-debug was on
 */
struct faults {
	struct knob_value values[NR_KNOBS];
	struct victim victim;
	int fail_nth;
	bool had_dma_debug;
};

static bool has_dma_debug(void)
{
	char disabled[4];

	read_file("/sys/kernel/debug/dma-api/disabled", disabled, sizeof(disabled));
	return disabled[0] == 'N';
}

static const char *get_faults(struct faults *faults, enum kind kind)
{
	const char *reason = fault_injection_is_missing();
	cpu_set_t cpus;

	if (reason)
		return reason;
	reason = get_victim(&faults->victim, kind);
	if (reason)
		return reason;

	/* The reserve is for this CPU. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || occupy_tree(&faults->victim))
		return "the kernel cannot be kept from turning dma-debug off";
	faults->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (faults->fail_nth < 0)
		return "cannot open " FAIL_NTH;
	faults->had_dma_debug = has_dma_debug();
	turn_knobs(faults->values);
	return NULL;
}

static void put_faults(struct __test_metadata *_metadata, struct faults *faults)
{
	const struct usage before = faults->victim.subject.before;

	turn_knobs_back(faults->values);
	close(faults->fail_nth);
	put_subject(&faults->victim.subject);
	EXPECT_NOTHING_LEAKED(before);

	/* It would prove nothing from here on. */
	EXPECT_EQ(faults->had_dma_debug, has_dma_debug());
}

/* Make the call once; nth is 0 if there is to be no fault. */
static int try_call(struct __test_metadata *_metadata, struct faults *faults,
		    const struct call *call, unsigned int nth, bool *injected)
{
	struct usage before = usage_now();
	int error;

	ASSERT_EQ(0, call->prepare ? call->prepare(&faults->victim) : 0);
	error = make_with_fault(call, &faults->victim, faults->fail_nth, nth, injected);
	if (call->clean_up)
		call->clean_up(&faults->victim, error);
	EXPECT_TRUE(may_return(call, error) && (*injected || !error)) {
		TH_LOG("%s with fault %u: %s", call->name, nth, strerror(error));
	}
	EXPECT_NOTHING_LEAKED(before);
	return error;
}

/*
 * Let the call fail at the first place where it can, then the second, and so on, until
 * it succeeds. Return how often it failed.
 */
static unsigned int sweep(struct __test_metadata *_metadata, struct faults *faults,
			  const struct call *call)
{
	unsigned int nth, failed = 0;
	bool injected = true, none;

	/*
	 * Something may be done only once. The first call to get there makes the places
	 * that follow move up, so that the next one passes one over.
	 */
	for (nth = 1; injected && nth <= MAX_FAULTS; nth++)
		try_call(_metadata, faults, call, nth, &injected);

	injected = true;
	for (nth = 1; injected && nth <= MAX_FAULTS; nth++) {
		if (!try_call(_metadata, faults, call, nth, &injected))
			continue;
		failed++;
		/* It works as soon as nothing is in its way any more. */
		EXPECT_EQ(0, try_call(_metadata, faults, call, 0, &none));
	}
	EXPECT_FALSE(injected);
	return failed;
}

FIXTURE(fault)
{
	struct faults faults;
};

FIXTURE_VARIANT(fault)
{
	enum kind kind;
};

FIXTURE_VARIANT_ADD(fault, page)
{
	.kind = PAGE,
};

FIXTURE_VARIANT_ADD(fault, list)
{
	.kind = LIST,
};

FIXTURE_VARIANT_ADD(fault, mirror)
{
	.kind = MIRROR,
};

FIXTURE_VARIANT_ADD(fault, import)
{
	.kind = IMPORT,
};

FIXTURE_SETUP(fault)
{
	const char *reason;

	reason = get_faults(&self->faults, variant->kind);
	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(fault)
{
	put_faults(_metadata, &self->faults);
}

TEST_F_TIMEOUT(fault, in_mapping_leaves_nothing, 120)
{
	struct victim *victim = &self->faults.victim;

	EXPECT_LT(0U, sweep(_metadata, &self->faults, &map_call));

	/* No handle is lost: it is the first one after those of occupy_tree(). */
	EXPECT_EQ(0, prepare_unmap(victim));
	EXPECT_EQ(victim->pages ? NR_PAGES + 1U : 1U, victim->handle);
}

TEST_F_TIMEOUT(fault, in_a_transfer_leaves_nothing, 120)
{
	unsigned int failed;

	ASSERT_EQ(0, prepare_unmap(&self->faults.victim));
	clean_up_transfer(&self->faults.victim, 0);
	failed = sweep(_metadata, &self->faults, &transfer_call);

	/* All that pins need has been done before. */
	if (variant->kind == MIRROR || variant->kind == IMPORT)
		EXPECT_LT(0U, failed);
}

TEST_F_TIMEOUT(fault, in_giving_it_up_leaves_nothing, 120)
{
	sweep(_metadata, &self->faults, &unmap_call);
	sweep(_metadata, &self->faults, &close_call);
}

FIXTURE(file_fault)
{
	struct faults faults;
};

FIXTURE_SETUP(file_fault)
{
	const char *reason = get_faults(&self->faults, PAGE);

	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(file_fault)
{
	put_faults(_metadata, &self->faults);
}

TEST_F_TIMEOUT(file_fault, in_opening_leaves_nothing, 120)
{
	EXPECT_LT(0U, sweep(_metadata, &self->faults, &open_call));
}

FIXTURE(exporter_fault)
{
	struct faults faults;
};

FIXTURE_SETUP(exporter_fault)
{
	const char *reason = get_faults(&self->faults, IMPORT);

	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(exporter_fault)
{
	put_faults(_metadata, &self->faults);
}

TEST_F_TIMEOUT(exporter_fault, in_opening_leaves_nothing, 120)
{
	EXPECT_LT(0U, sweep(_metadata, &self->faults, &open_exporter_call));
}

TEST_F_TIMEOUT(exporter_fault, in_exporting_leaves_nothing, 120)
{
	const int fd = self->faults.victim.subject.fd;
	int next = dup(fd);

	close(next);
	EXPECT_LT(0U, sweep(_metadata, &self->faults, &export_call));

	/* Nor is a file descriptor lost. */
	EXPECT_EQ(next, dup(fd));
	close(next);
}

TEST_F_TIMEOUT(exporter_fault, in_revoking_leaves_nothing, 120)
{
	sweep(_metadata, &self->faults, &revoke_call);
}

/* The modules */

FIXTURE(module)
{
	struct usage before;
	int fd;
};

FIXTURE_VARIANT(module)
{
	const char *name;
};

FIXTURE_VARIANT_ADD(module, edu_dma)
{
	.name = "edu_dma",
};

FIXTURE_VARIANT_ADD(module, bar_exporter)
{
	.name = "bar_exporter",
};

FIXTURE_SETUP(module)
{
	char path[PATH_MAX];

	self->before = usage_now();
	self->fd = open_test_device(variant->name, 0);
	fail_unless_missing(variant->name, self->fd);
	if (self->fd < 0)
		SKIP(return, "no /dev/%s0", variant->name);
	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", variant->name);
	if (access(path, R_OK))
		SKIP(return, "%s is built in, or there is no CONFIG_MODULE_UNLOAD",
		     variant->name);
	if (!find_test_module(variant->name, path, sizeof(path)))
		SKIP(return, "no %s.ko in its place to load again", variant->name);
}

FIXTURE_TEARDOWN(module)
{
	close(self->fd);
	/* In case that the test has not got to that. */
	load_test_module(variant->name);
	EXPECT_NOTHING_LEAKED(self->before);
}

TEST_F(module, stays_while_a_file_is_open)
{
	EXPECT_EQ(EWOULDBLOCK, unload(variant->name));
	close(self->fd);
	EXPECT_EQ(0, unload(variant->name));
	EXPECT_EQ(ENOENT, unload(variant->name));

	self->fd = open_test_device(variant->name, 0);
	EXPECT_LE(0, self->fd);
}

FIXTURE(busy_module)
{
	struct subject subject;
};

FIXTURE_SETUP(busy_module)
{
	static const char *const names[] = { "edu_dma", "bar_exporter" };
	char path[PATH_MAX];
	const char *reason;
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (!find_test_module(names[i], path, sizeof(path)))
			SKIP(return, "no %s.ko in its place to load again", names[i]);
	reason = get_subject(&self->subject, IMPORT);
	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(busy_module)
{
	put_subject(&self->subject);
	load_test_module("bar_exporter");
	load_test_module("edu_dma");
	EXPECT_NOTHING_LEAKED(self->subject.before);
}

/* A dma-buf has the operations of the exporter, and fences of the importer. */
TEST_F(busy_module, stays_while_a_dma_buf_needs_it)
{
	struct subject *subject = &self->subject;
	__u32 handle;

	ASSERT_EQ(0, map_subject(subject, &handle));
	ASSERT_EQ(0, touch(subject->fd, handle));

	close(subject->exporter);
	subject->exporter = -1;
	EXPECT_EQ(EWOULDBLOCK, unload("bar_exporter"));
	close(subject->fd);
	subject->fd = -1;
	EXPECT_EQ(EWOULDBLOCK, unload("bar_exporter"));
	EXPECT_EQ(EWOULDBLOCK, unload("edu_dma"));

	close(subject->dma_buf);
	subject->dma_buf = -1;
	EXPECT_EQ(0, unload("bar_exporter"));
	EXPECT_EQ(0, unload("edu_dma"));
}

/* The benchmark of the kernel, which takes a device from its driver. */

#define BENCHMARK_DRIVER	"/sys/bus/pci/drivers/dma_map_benchmark"
#define BENCHMARK		"/sys/kernel/debug/dma_map_benchmark"

/* The header with this is not in the same place in all kernels. */
struct map_benchmark {
	__u64 avg_map_100ns;
	__u64 map_stddev;
	__u64 avg_unmap_100ns;
	__u64 unmap_stddev;
	__u32 threads;
	__u32 seconds;
	__s32 node;
	__u32 dma_bits;
	__u32 dma_dir;
	__u32 dma_trans_ns;
	__u32 granule;
	__u8 map_mode;
	__u8 attrs;
	__u8 expansion[74];
};

#define DMA_MAP_BENCHMARK			_IOWR('d', 1, struct map_benchmark)
#define DMA_MAP_BENCH_ATTR_REQUIRE_COHERENT	0x1

FIXTURE(benchmark)
{
	struct usage before;
	char override[PATH_MAX];
	char slot[32];
	/* What it says if a mapping has to be coherent. */
	int expected;
	int fd;
};

FIXTURE_VARIANT(benchmark)
{
	__u8 map_mode;
};

FIXTURE_VARIANT_ADD(benchmark, page)
{
	.map_mode = 0,
};

/* Of pages, too, before there were lists. */
FIXTURE_VARIANT_ADD(benchmark, list)
{
	.map_mode = 1,
};

FIXTURE_SETUP(benchmark)
{
	char path[PATH_MAX];

	if (access(BENCHMARK_DRIVER, F_OK))
		SKIP(return, "no " BENCHMARK_DRIVER ": no CONFIG_DMA_MAP_BENCHMARK?");
	if (!edu_path(0, path))
		SKIP(return, "no edu device, or edu_dma.ko is not loaded");

	self->before = usage_now();
	self->expected = swiotlb_forced() && !iommu_translates() ? EOPNOTSUPP : 0;
	snprintf(self->slot, sizeof(self->slot), "%s", strrchr(path, '/') + 1);
	snprintf(self->override, sizeof(self->override),
		 "/sys/bus/pci/devices/%s/driver_override", self->slot);
	ASSERT_TRUE(tell_driver(EDU_DRIVER, "unbind", self->slot));
	ASSERT_TRUE(write_file(self->override, "dma_map_benchmark"));
	ASSERT_TRUE(tell_driver(BENCHMARK_DRIVER, "bind", self->slot));
	self->fd = open(BENCHMARK, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(benchmark)
{
	close(self->fd);
	EXPECT_TRUE(tell_driver(BENCHMARK_DRIVER, "unbind", self->slot));
	EXPECT_TRUE(write_file(self->override, "\n"));
	EXPECT_TRUE(tell_driver(EDU_DRIVER, "bind", self->slot));
	EXPECT_NOTHING_LEAKED(self->before);
}

/* A second, which is the least that it takes. */
static int run_benchmark(int fd, __u8 map_mode, __u8 attrs)
{
	struct map_benchmark benchmark = {
		.threads = 1,
		.seconds = 1,
		.node = -1,
		.dma_bits = WIDE_BITS,
		.granule = 1,
		.map_mode = map_mode,
		.attrs = attrs,
	};

	return ioctl(fd, DMA_MAP_BENCHMARK, &benchmark) ? errno : 0;
}

TEST_F(benchmark, knows_its_attributes)
{
	EXPECT_EQ(EINVAL, run_benchmark(self->fd, variant->map_mode, 0x2));
	EXPECT_EQ(EINVAL, run_benchmark(self->fd, variant->map_mode,
					0x80 | DMA_MAP_BENCH_ATTR_REQUIRE_COHERENT));
}

TEST_F(benchmark, maps_without_attributes)
{
	EXPECT_EQ(0, run_benchmark(self->fd, variant->map_mode, 0));
}

TEST_F(benchmark, maps_coherently_or_says_that_it_cannot)
{
	EXPECT_EQ(self->expected, run_benchmark(self->fd, variant->map_mode,
						DMA_MAP_BENCH_ATTR_REQUIRE_COHERENT));
	/* The attribute is that of one call. */
	EXPECT_EQ(0, run_benchmark(self->fd, variant->map_mode, 0));
}

/* What else there is of the interface to the kernel */

/* A refusal prints nothing, so the trace events have to tell what was asked for. */
TEST(trace_events_name_the_attributes)
{
	char format[8192];

	read_file(TRACE_FORMAT, format, sizeof(format));
	if (!format[0])
		SKIP(return, "cannot read " TRACE_FORMAT);

	EXPECT_NE(NULL, strstr(format, "\"REQUIRE_COHERENT\""));
	EXPECT_NE(NULL, strstr(format, "\"CACHELINES_OVERLAP\""));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * Does an exporter get the memory of its device back while another device works in it?
 *
 * The memory is BAR 2 of QEMU's ivshmem-plain. The driver of that device exports parts
 * of it as dma-bufs, and QEMU's edu devices import them, which gives them peer-to-peer
 * access. When the exporter revokes them it must get the memory back for itself: a
 * transfer that is under way ends, the call returns when it has, and after that no
 * device changes a byte. The CPU writes and watches the memory through the file
 * "resource2" of the ivshmem device, and sees in a register of the edu device whether
 * that is at work.
 *
 * Which devices reach the memory at all depends on the way between the two on PCI. Each
 * prints what became of it, as
 *
 *   # outcome: mapping="memory of a peer (dma-buf)" memory="..." attribute=none result="..."
 *
 * What is right follows from how the machine is set up; see find_route().
 *
 * It needs root, a kernel that lets user space map BARs (no CONFIG_IO_STRICT_DEVMEM), and:
 *
 * - QEMU with "-object memory-backend-ram,id=bar,size=4M,share=on" and
 *   "-device ivshmem-plain,memdev=bar", and with one or more
 *   "-device edu,dma_mask=0xffffffffffffffff". An edu below the same PCIe switch as
 *   ivshmem-plain reaches it. Others do if the host bridge is one that the kernel knows
 *   to route between its ports, for which "-cpu EPYC" stands.
 * - test_modules/bar_exporter.ko and test_modules/edu_dma.ko, loaded or next to this.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/types.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "selftest.h"

#define EXPORTER	"bar_exporter0"
#define EXPORTER_SYSFS	"/sys/class/misc/" EXPORTER "/device"
#define EXPORTER_DRIVER	"/sys/bus/pci/drivers/bar_exporter"
#define IMPORTER_DRIVER	"/sys/bus/pci/drivers/edu_dma"

/* QEMU's ivshmem-plain. */
#define MEMORY_VENDOR	0x1af4
#define MEMORY_DEVICE	0x1110
#define MEMORY_BAR	2

/* Where edu says whether it is at work. */
#define REGISTERS_BAR	0
#define EDU_DMA_CMD	0x98
#define EDU_DMA_CMD_RUN	0x1

#define MAPPING		"memory of a peer (dma-buf)"

#define MAX_DEVICES	4
#define MAX_FILES	32

/* As much of the BAR as is looked at. */
#define MAX_LENGTH	(4U << 20)

/*
 * What most cases export. With pages of 4 KiB there is the end of a DMA segment in it,
 * since the driver takes no segment above 64 KiB.
 */
#define PART_OFFSET	(15 * page_size())
#define PART_LENGTH	(18 * page_size())

/* What most transfers transfer, from where in the part, and to where. */
#define DATA_LENGTH	1024U
#define SOURCE		0
#define TARGET		(PART_LENGTH - DATA_LENGTH)

/* Much longer than anything takes that is not stuck. */
#define TIMEOUT_MS	10000

/* How long a device has for what it must not do; a transfer takes 100 ms. */
#define GRACE_US	250000

enum route {
	NO_ROUTE,
	BELOW_SWITCH,
	HOST_BRIDGE,
	HOST_BRIDGE_IOMMU,
};

static const char *const route_names[] = {
	[NO_ROUTE] = "no route",
	[BELOW_SWITCH] = "below one switch",
	[HOST_BRIDGE] = "through the host bridge",
	[HOST_BRIDGE_IOMMU] = "through the host bridge, IOMMU",
};

/**
 * struct device - an edu device
 * @number: N of /dev/edu_dmaN
 * @path: where it is in sysfs
 * @route: the way from it to the memory
 * @works: its DMA arrives there
 * @registers: those of it
 */
struct device {
	unsigned int number;
	char path[PATH_MAX];
	enum route route;
	bool works;
	void *registers;
};

/**
 * struct mapping - a dma-buf that a device has imported
 * @device: the device
 * @fd: the file of the device
 * @handle: the mapping
 */
struct mapping {
	const struct device *device;
	int fd;
	__u32 handle;
};

/**
 * struct memory - what can be exported
 * @path: where its device is in sysfs
 * @start: the physical address of the BAR
 * @size: the size of the BAR
 * @words: the BAR, or as much of it as is looked at
 * @length: the length of that in bytes
 * @expected: what has to be there
 */
struct memory {
	char path[PATH_MAX];
	__u64 start;
	__u64 size;
	__u64 *words;
	size_t length;
	unsigned char *expected;
};

/* Every case has its own of these, since it is a process of its own. */
static struct memory memory;
static struct device devices[MAX_DEVICES];
static unsigned int nr_devices;

/* /dev/bar_exporter0, or -1 and why there is nothing to test. */
static int exporter = -1;
static const char *why_not;

/* How the machine is set up */

static unsigned long read_hex(const char *device, const char *name)
{
	char path[PATH_MAX + 32], text[32];

	snprintf(path, sizeof(path), "%s/%s", device, name);
	read_file(path, text, sizeof(text));
	return strtoul(text, NULL, 16);
}

/* Find a device that has memory, without its driver. */
static bool find_memory(char *path)
{
	static const char devices[] = "/sys/bus/pci/devices";
	struct dirent *entry;
	char link[PATH_MAX];
	bool found = false;
	DIR *directory;

	directory = opendir(devices);
	if (!directory)
		return false;
	while (!found && (entry = readdir(directory))) {
		snprintf(link, sizeof(link), "%s/%s", devices, entry->d_name);
		found = read_hex(link, "vendor") == MEMORY_VENDOR &&
			read_hex(link, "device") == MEMORY_DEVICE &&
			realpath(link, path);
	}
	closedir(directory);
	return found;
}

static bool find_bar(const char *device, __u64 *start, __u64 *size)
{
	char path[PATH_MAX + 32], text[1024], *line = text;
	unsigned long long first, last;
	unsigned int i;

	snprintf(path, sizeof(path), "%s/resource", device);
	read_file(path, text, sizeof(text));
	for (i = 0; line && i < MEMORY_BAR; i++) {
		line = strchr(line, '\n');
		line += !!line;
	}
	if (!line || sscanf(line, "%llx %llx", &first, &last) != 2 || !first)
		return false;
	*start = first;
	*size = last - first + 1;
	return true;
}

static void *map_bar(const char *device, unsigned int bar, size_t length)
{
	char path[PATH_MAX + 32];
	void *memory;
	int fd;

	snprintf(path, sizeof(path), "%s/resource%u", device, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return memory == MAP_FAILED ? NULL : memory;
}

static bool iommu_translates_for(const char *device)
{
	char path[PATH_MAX + 32], type[32];

	snprintf(path, sizeof(path), "%s/iommu_group/type", device);
	read_file(path, type, sizeof(type));
	return !strncmp(type, "DMA", 3);
}

/*
 * Does the host bridge route between its ports? It cannot be asked, so the kernel has a
 * list. What is on it and also in QEMU is AMD's CPUs since Zen.
 */
static bool host_bridge_routes(void)
{
	char text[4096];

	read_file("/proc/cpuinfo", text, sizeof(text));
	return strstr(text, "AuthenticAMD") &&
	       read_number("/proc/cpuinfo", "cpu family\t:") >= 0x17;
}

/* QEMU's switches have no access control, which could send peers up to the host bridge. */
static enum route find_route(const char *device, const char *memory)
{
	if (have_common_bridge(device, memory))
		return BELOW_SWITCH;
	if (!host_bridge_routes())
		return NO_ROUTE;
	return iommu_translates_for(device) ? HOST_BRIDGE_IOMMU : HOST_BRIDGE;
}

static bool find_device(struct device *device, unsigned int number, const char *memory)
{
	char link[64];

	snprintf(link, sizeof(link), "/sys/class/misc/edu_dma%u/device", number);
	if (!realpath(link, device->path))
		return false;
	device->number = number;
	device->route = find_route(device->path, memory);
	/* A switch keeps bus addresses from the IOMMU, but QEMU's sees them all the same. */
	device->works = device->route != NO_ROUTE &&
			!(device->route == BELOW_SWITCH &&
			  iommu_translates_for(device->path));
	return true;
}

/* Is this how importing ends for the device, with a mask that covers the memory? */
static bool is_expected_error(const struct device *device, int error)
{
	return error == (device->route == NO_ROUTE ? EREMOTEIO : 0);
}

static unsigned int count_bits(__u64 address)
{
	unsigned int bits = 0;

	while (address >> bits)
		bits++;
	return bits;
}

static bool is_at_work(const struct device *device)
{
	const __u64 *cmd = device->registers + EDU_DMA_CMD;

	return __atomic_load_n(cmd, __ATOMIC_RELAXED) & EDU_DMA_CMD_RUN;
}

static long long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool wait_until_at_work(const struct device *device)
{
	const long long end = milliseconds() + TIMEOUT_MS;

	while (!is_at_work(device)) {
		if (milliseconds() > end)
			return false;
		usleep(1000);
	}
	return true;
}

/* What may take forever */

/*
 * Write @text to the file at @path, or revoke if there is none. It happens in a process
 * of its own, as nothing would end one that is stuck in there. That process has no file
 * but the exporter, as its standard input, so that it keeps nothing in use which this
 * one closes, nor the pipe with the results.
 */
static pid_t start(const char *path, const char *text)
{
	pid_t pid = fork();
	unsigned int i;
	int error = 0;

	if (pid)
		return pid;

	dup2(exporter, STDIN_FILENO);
	syscall(SYS_close_range, STDIN_FILENO + 1, ~0U, 0);
	if (path ? !write_file(path, text) : ioctl(STDIN_FILENO, BAR_EXPORTER_REVOKE))
		error = errno;
	/* Whatever it was, it had to wait for them. */
	for (i = 0; i < nr_devices; i++)
		if (is_at_work(&devices[i]))
			error = EINPROGRESS;
	_exit(error);
}

/*
 * The errno with which it ended: ETIMEDOUT if it did not, and EINPROGRESS if a device
 * was at work when it did.
 */
static int finish(pid_t pid)
{
	const long long end = milliseconds() + TIMEOUT_MS;
	int status, error = ETIMEDOUT;

	while (error == ETIMEDOUT && milliseconds() < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			error = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
		else
			usleep(1000);
	}
	return error;
}

static pid_t start_revoke(void)
{
	return start(NULL, NULL);
}

static int revoke_all(void)
{
	return finish(start_revoke());
}

/* A driver to bind again to a device, if there is one. */
static const char *unbound_driver;
static const char *unbound_device;

static pid_t start_unbind(const char *driver, const char *device)
{
	char path[64];

	unbound_driver = driver;
	unbound_device = device;
	snprintf(path, sizeof(path), "%s/unbind", driver);
	return start(path, strrchr(device, '/') + 1);
}

static int bind_again(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/bind", unbound_driver);
	unbound_driver = NULL;
	return finish(start(path, strrchr(unbound_device, '/') + 1));
}

/* Files, dma-bufs and mappings */

/* What is closed at the end of the case, and -1 for what has been closed before. */
static int files[MAX_FILES];
static unsigned int nr_files;

static int keep_file(struct __test_metadata *_metadata, int fd)
{
	ASSERT_GE(fd, 0);
	ASSERT_LT(nr_files, ARRAY_SIZE(files));
	files[nr_files++] = fd;
	return fd;
}

static void close_file(int fd)
{
	unsigned int i;

	for (i = 0; i < nr_files; i++)
		if (files[i] == fd)
			files[i] = -1;
	close(fd);
}

/* 0 or an errno, like what is in selftest.h. */
static int export_dma_buf(struct bar_exporter_export *export)
{
	return ioctl(exporter, BAR_EXPORTER_EXPORT, export) ? errno : 0;
}

static int export_part(struct __test_metadata *_metadata, __u64 offset, __u64 length)
{
	struct bar_exporter_export export = { .offset = offset, .length = length };

	ASSERT_EQ(0, export_dma_buf(&export));
	return keep_file(_metadata, export.fd);
}

static int open_edu(struct __test_metadata *_metadata, const struct device *device)
{
	return keep_file(_metadata, open_test_device("edu_dma", device->number));
}

/* With a file that is open already; 0 or an errno. */
static int import_into(struct mapping *mapping, int dma_buf, __u32 dma_bits)
{
	struct edu_dma_import import = { .fd = dma_buf, .dma_bits = dma_bits };
	int error = import_dma_buf(mapping->fd, &import);

	mapping->handle = import.handle;
	return error;
}

static struct mapping import(struct __test_metadata *_metadata,
			     const struct device *device, int dma_buf)
{
	struct mapping mapping = { .device = device };

	mapping.fd = open_edu(_metadata, device);
	ASSERT_EQ(0, import_into(&mapping, dma_buf, WIDE_BITS));
	return mapping;
}

static struct mapping import_part(struct __test_metadata *_metadata,
				  const struct device *device)
{
	return import(_metadata, device,
		      export_part(_metadata, PART_OFFSET, PART_LENGTH));
}

/* Have a page of this process mapped for the device that has the other mapping. */
static struct mapping map_page(struct __test_metadata *_metadata,
			       const struct mapping *mapping, unsigned char **page)
{
	struct edu_dma_map map = { .length = page_size(), .dma_bits = WIDE_BITS };
	struct mapping mapped = *mapping;

	*page = aligned_alloc(page_size(), page_size());
	ASSERT_NE(NULL, *page);
	memset(*page, 0, page_size());
	map.addr = (uintptr_t)*page;
	ASSERT_EQ(0, map_memory(mapping->fd, &map));
	mapped.handle = map.handle;
	return mapped;
}

/* Transfers */

/**
 * struct worker - a thread that lets a device do the same transfer over and over
 * @mapping: where
 * @direction: as in &struct edu_dma_transfer
 * @offset: as well
 * @thread: the thread
 * @stop: tells it to end
 * @done: how many transfers succeeded
 * @error: the error of the first one that failed
 * @failed: how many failed in the same way
 * @surprises: how many then succeeded, or failed in another way
 */
struct worker {
	struct mapping mapping;
	__u32 direction;
	__u64 offset;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint done;
	atomic_int error;
	atomic_uint failed;
	atomic_uint surprises;
};

static struct worker workers[MAX_DEVICES];
static unsigned int nr_workers;

static int transfer_data(const struct mapping *mapping, __u32 direction, __u64 offset)
{
	return transfer(mapping->fd, mapping->handle, direction, offset, DATA_LENGTH);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	int error;

	while (!worker->stop) {
		error = transfer_data(&worker->mapping, worker->direction, worker->offset);
		if (!error && !worker->error) {
			worker->done++;
			continue;
		}
		if (!worker->error)
			worker->error = error;
		if (error == worker->error)
			worker->failed++;
		else
			worker->surprises++;
		/* The number of the file may be that of another one soon. */
		if (error == EBADF)
			break;
		usleep(1000);
	}
	return NULL;
}

/* When this returns a transfer is under way, if it is for a device that works. */
static void start_worker(struct __test_metadata *_metadata, const struct mapping *mapping,
			 __u32 direction, __u64 offset)
{
	struct worker *worker = &workers[nr_workers];

	if (!mapping->device->works)
		return;

	ASSERT_LT(nr_workers, ARRAY_SIZE(workers));
	*worker = (struct worker){
		.mapping = *mapping,
		.direction = direction,
		.offset = offset,
	};
	ASSERT_EQ(0, pthread_create(&worker->thread, NULL, work, worker));
	nr_workers++;
	ASSERT_TRUE(wait_until_at_work(mapping->device));
}

static void stop_workers(void)
{
	unsigned int i;

	for (i = 0; i < nr_workers; i++)
		workers[i].stop = true;
	for (i = 0; i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
	nr_workers = 0;
}

/* All workers did transfers until the memory was gone, and then no more. */
static void expect_cut_off(struct __test_metadata *_metadata, int error)
{
	const struct worker *worker, *last = workers + nr_workers - 1;
	const long long end = milliseconds() + TIMEOUT_MS;

	for (worker = workers; worker <= last; worker++)
		while (!worker->failed && milliseconds() < end)
			usleep(1000);
	stop_workers();
	for (worker = workers; worker <= last; worker++) {
		EXPECT_NE(0U, worker->done);
		EXPECT_EQ(error, worker->error);
		EXPECT_NE(0U, worker->failed);
		EXPECT_EQ(0U, worker->surprises);
	}
}

/* What is in the memory */

/* Fill it with what has not been there before. */
static void fill_memory(void)
{
	__u64 *expected = (__u64 *)memory.expected, seed = random();
	size_t i;

	for (i = 0; i < memory.length / sizeof(*expected); i++) {
		expected[i] = ((seed << 32) + i) * 0x9e3779b97f4a7c15ULL;
		__atomic_store_n(&memory.words[i], expected[i], __ATOMIC_RELAXED);
	}
	/* What has been read has been written before. */
	__atomic_load_n(memory.words, __ATOMIC_RELAXED);
}

/* From now on one place of the part that is exported has to be a copy of another one. */
static void expect_copy(size_t to, size_t from)
{
	memcpy(memory.expected + PART_OFFSET + to, memory.expected + PART_OFFSET + from,
	       DATA_LENGTH);
}

/* The offset of the first byte that is not as expected; -1 if there is none. */
static long long find_difference(void)
{
	unsigned char bytes[sizeof(*memory.words)];
	size_t i, n;
	__u64 word;

	for (i = 0; i < memory.length; i += sizeof(word)) {
		word = __atomic_load_n(&memory.words[i / sizeof(word)], __ATOMIC_RELAXED);
		if (!memcmp(&word, memory.expected + i, sizeof(word)))
			continue;
		memcpy(bytes, &word, sizeof(word));
		for (n = 0; bytes[n] == memory.expected[i + n]; n++)
			;
		return i + n;
	}
	return -1;
}

/* It is the exporter's alone: no device changes a byte of it. */
static void expect_memory_back(struct __test_metadata *_metadata)
{
	fill_memory();
	usleep(GRACE_US);
	EXPECT_EQ(-1, find_difference());
}

/* Have the device read what is at SOURCE, and expect it at TARGET soon. */
static void load_data(struct __test_metadata *_metadata, const struct mapping *mapping)
{
	fill_memory();
	if (mapping->device->works) {
		ASSERT_EQ(0, transfer_data(mapping, EDU_DMA_TO_DEVICE, SOURCE));
		expect_copy(TARGET, SOURCE);
	}
}

/* A device that can import; NULL if there is none. */
static const struct device *find_importer(void)
{
	unsigned int i;

	if (why_not)
		return NULL;
	for (i = 0; i < nr_devices; i++)
		if (devices[i].route != NO_ROUTE)
			return &devices[i];
	why_not = "there is no route from an edu device to the memory";
	return NULL;
}

/* A device that can transfer, too. */
static const struct device *find_user(void)
{
	unsigned int i;

	if (!find_importer())
		return NULL;
	for (i = 0; i < nr_devices; i++)
		if (devices[i].works)
			return &devices[i];
	why_not = "QEMU's IOMMU gets the bus addresses that a switch would route";
	return NULL;
}

FIXTURE(peer_memory)
{
	struct usage before;
};

FIXTURE_SETUP(peer_memory)
{
	struct edu_dma_import import = { .fd = -1, .dma_bits = WIDE_BITS };
	const char *reason;
	unsigned int i;
	int fd;

	exporter = open_test_device("bar_exporter", 0);
	if (exporter < 0 ? !find_memory(memory.path) :
			   !realpath(EXPORTER_SYSFS, memory.path))
		SKIP(return, "no ivshmem-plain device with memory to export");
	fd = open_device(&reason);
	if (fd < 0)
		SKIP(return, "%s", reason);
	for (i = 0; i < MAX_DEVICES; i++)
		if (find_device(&devices[nr_devices], i, memory.path))
			nr_devices++;

	/* The device still has the data of the case before: choose others. */
	srandom(getpid());
	self->before = usage_now();
	if (exporter < 0) {
		if (import_dma_buf(fd, &import) != ENOTTY)
			SKIP(return, "no /dev/bar_exporter0: bar_exporter.ko is not loaded");
		why_not = "the kernel has no dma_buf_phys_vec_to_sgt()";
		close(fd);
		return;
	}
	close(fd);

	ASSERT_TRUE(find_bar(memory.path, &memory.start, &memory.size));
	memory.length = memory.size < MAX_LENGTH ? memory.size : MAX_LENGTH;
	memory.words = map_bar(memory.path, MEMORY_BAR, memory.length);
	if (!memory.words)
		SKIP(return, "cannot map the BAR: is there CONFIG_IO_STRICT_DEVMEM?");
	for (i = 0; i < nr_devices; i++) {
		devices[i].registers =
			map_bar(devices[i].path, REGISTERS_BAR, page_size());
		ASSERT_NE(NULL, devices[i].registers);
	}
	memory.expected = malloc(memory.length);
	ASSERT_NE(NULL, memory.expected);

	/* If this fails a case before has left something mapped. */
	ASSERT_EQ(0, revoke_all());
}

FIXTURE_TEARDOWN(peer_memory)
{
	unsigned int i;

	stop_workers();
	if (unbound_driver)
		EXPECT_EQ(0, bind_again());
	for (i = 0; i < nr_files; i++)
		if (files[i] >= 0)
			close(files[i]);
	if (exporter >= 0) {
		/* This waits for mappings, if any are left. */
		EXPECT_EQ(0, revoke_all());
		close(exporter);
	}
	EXPECT_NOTHING_LEAKED(self->before);
}

/* The way to the memory */

static void try_route(struct __test_metadata *_metadata, const struct device *device)
{
	struct mapping mapping = { .device = device };
	int dma_buf, error, revoked, after;
	long long difference;
	const char *result;

	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	mapping.fd = open_edu(_metadata, device);
	error = import_into(&mapping, dma_buf, WIDE_BITS);
	if (error) {
		print_outcome(MAPPING, route_names[device->route], "none",
			      "refused: %s (%s)", strerror(error), error_name(error));
		EXPECT_TRUE(is_expected_error(device, error)) {
			TH_LOG("edu_dma%u", device->number);
		}
		return;
	}

	load_data(_metadata, &mapping);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);
	revoked = revoke_all();
	difference = find_difference();
	after = transfer_data(&mapping, EDU_DMA_FROM_DEVICE, SOURCE);

	if (revoked == ETIMEDOUT)
		result = "mapped, not given back in time";
	else if (revoked == EINPROGRESS)
		result = "mapped, still in use when revoked";
	else if (!after)
		result = "mapped, still in reach when revoked";
	else if (revoked || difference >= 0)
		result = "mapped, not as it should be";
	else if (!device->works)
		result = "mapped, not used, revoked in time";
	else
		result = "mapped, revoked in time";
	print_outcome(MAPPING, route_names[device->route], "none", "%s", result);

	EXPECT_TRUE(is_expected_error(device, 0)) {
		TH_LOG("edu_dma%u", device->number);
	}
	EXPECT_EQ(0, revoked);
	EXPECT_EQ(-1, difference);
	EXPECT_EQ(ENODEV, after);
	expect_cut_off(_metadata, ENODEV);
}

TEST_F(peer_memory, is_in_reach_of_devices_with_a_route_to_it)
{
	unsigned int i;

	if (why_not) {
		for (i = 0; i < nr_devices; i++)
			print_outcome(MAPPING, route_names[devices[i].route], "none",
				      "cannot be exported: %s", why_not);
		SKIP(return, "%s", why_not);
	}

	for (i = 0; i < nr_devices; i++)
		try_route(_metadata, &devices[i]);
}

/*
 * The widest mask that is too narrow, and the narrowest that is not. An IOMMU has an
 * address below the mask for any memory.
 */
TEST_F(peer_memory, is_out_of_reach_of_a_device_whose_dma_mask_does_not_cover_it)
{
	const __u64 last = memory.start + memory.size - 1;
	bool tried = false;
	unsigned int i;

	if (!find_importer())
		SKIP(return, "%s", why_not);

	for (i = 0; i < nr_devices; i++) {
		static const int expected[] = {
			[BELOW_SWITCH] = EREMOTEIO,
			[HOST_BRIDGE] = ENOMEM,
			[HOST_BRIDGE_IOMMU] = 0,
		};
		const struct device *device = &devices[i];
		struct mapping mapping = { .device = device };
		int dma_buf, error;

		if (device->route == NO_ROUTE)
			continue;

		dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
		mapping.fd = open_edu(_metadata, device);
		error = import_into(&mapping, dma_buf, count_bits(memory.start) - 1);
		/* The machine has memory which such a device could not use, either. */
		if (error == ENXIO)
			continue;
		tried = true;
		EXPECT_EQ(expected[device->route], error) {
			TH_LOG("edu_dma%u", device->number);
		}
		if (!error)
			EXPECT_EQ(0, unmap_memory(mapping.fd, mapping.handle));
		EXPECT_EQ(0, import_into(&mapping, dma_buf, count_bits(last))) {
			TH_LOG("edu_dma%u", device->number);
		}
	}
	if (!tried)
		SKIP(return, "the machine cannot serve a device with such a DMA mask");
}

TEST_F(peer_memory, turns_away_importers_that_cannot_be_told_to_let_go)
{
	unsigned int i;
	int dma_buf;

	if (why_not)
		SKIP(return, "%s", why_not);

	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	for (i = 0; i < nr_devices; i++) {
		const struct device *device = &devices[i];
		struct mapping mapping = { .device = device };
		struct edu_dma_import unaware = {
			.fd = dma_buf,
			.dma_bits = WIDE_BITS,
			.flags = EDU_DMA_IMPORT_UNAWARE,
		};
		struct usage exported = usage_now();

		mapping.fd = open_edu(_metadata, device);
		EXPECT_EQ(EOPNOTSUPP, import_dma_buf(mapping.fd, &unaware));
		EXPECT_NOTHING_LEAKED(exported);
		EXPECT_TRUE(is_expected_error(device, import_into(&mapping, dma_buf,
								  WIDE_BITS)));
		close_file(mapping.fd);
	}
}

/* What a device does there */

TEST_F(peer_memory, is_in_reach_from_the_first_exported_byte_to_the_last)
{
	/* Each way across the end of a segment: first without an IOMMU, then with one. */
	const size_t without = page_size() - DATA_LENGTH / 2;
	const size_t with = 16 * page_size() - DATA_LENGTH / 2;
	const struct {
		size_t from, to;
	} copies[] = {
		{ 0, PART_LENGTH - DATA_LENGTH },
		{ PART_LENGTH - DATA_LENGTH, 0 },
		{ without, with },
	};
	const struct device *device = find_user();
	struct mapping mapping;
	unsigned int i;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	for (i = 0; i < ARRAY_SIZE(copies); i++) {
		/* All of the memory is looked at, also what is not exported. */
		fill_memory();
		EXPECT_EQ(0, transfer_data(&mapping, EDU_DMA_TO_DEVICE, copies[i].from));
		EXPECT_EQ(0, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, copies[i].to));
		expect_copy(copies[i].to, copies[i].from);
		EXPECT_EQ(-1, find_difference());
	}
}

TEST_F(peer_memory, exchanges_data_with_memory_of_the_process)
{
	const struct device *device = find_user();
	struct mapping mapping, process;
	unsigned char *page;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	process = map_page(_metadata, &mapping, &page);

	load_data(_metadata, &mapping);
	EXPECT_EQ(0, transfer_data(&process, EDU_DMA_FROM_DEVICE, 0));
	EXPECT_EQ(0, memcmp(page, memory.expected + PART_OFFSET + SOURCE, DATA_LENGTH));

	fill_memory();
	memset(page, 0x5a, DATA_LENGTH);
	EXPECT_EQ(0, transfer_data(&process, EDU_DMA_TO_DEVICE, 0));
	EXPECT_EQ(0, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, TARGET));
	memset(memory.expected + PART_OFFSET + TARGET, 0x5a, DATA_LENGTH);
	EXPECT_EQ(-1, find_difference());

	/* Memory of the process is nobody's to take back. */
	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, TARGET));
	EXPECT_EQ(0, transfer_data(&process, EDU_DMA_FROM_DEVICE, 0));
}

/* Revoking */

TEST_F(peer_memory, comes_back_when_no_transfer_is_under_way)
{
	const struct device *device = find_importer();
	struct mapping mapping;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, SOURCE));
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_TO_DEVICE, SOURCE));

	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, SOURCE));
	/* The handle is there nevertheless. */
	EXPECT_EQ(0, unmap_memory(mapping.fd, mapping.handle));
	EXPECT_EQ(ENOENT, unmap_memory(mapping.fd, mapping.handle));
}

TEST_F(peer_memory, comes_back_with_all_that_a_device_was_writing)
{
	const struct device *device = find_user();
	struct mapping mapping;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	load_data(_metadata, &mapping);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);

	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(-1, find_difference());
	expect_memory_back(_metadata);
	expect_cut_off(_metadata, ENODEV);
}

TEST_F(peer_memory, comes_back_when_a_device_has_read_all_that_it_was_reading)
{
	const struct device *device = find_user();
	unsigned char data[DATA_LENGTH], *page;
	struct mapping mapping, process;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	process = map_page(_metadata, &mapping, &page);

	fill_memory();
	memcpy(data, memory.expected + PART_OFFSET + SOURCE, DATA_LENGTH);
	start_worker(_metadata, &mapping, EDU_DMA_TO_DEVICE, SOURCE);

	EXPECT_EQ(0, revoke_all());
	fill_memory();
	expect_cut_off(_metadata, ENODEV);
	EXPECT_EQ(0, transfer_data(&process, EDU_DMA_FROM_DEVICE, 0));
	EXPECT_EQ(0, memcmp(page, data, DATA_LENGTH));
}

/* All devices have a dma-buf in common, and each has one for itself. */
TEST_F(peer_memory, comes_back_from_every_importer_of_every_dma_buf)
{
	struct mapping mappings[2 * MAX_DEVICES];
	unsigned int i, nr_mappings = 0;
	int common;

	if (!find_importer())
		SKIP(return, "%s", why_not);

	common = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	for (i = 0; i < nr_devices; i++) {
		const size_t offset = PART_OFFSET + PART_LENGTH + i * page_size();
		const struct device *device = &devices[i];
		struct mapping *mapping = &mappings[nr_mappings];

		if (device->route == NO_ROUTE)
			continue;
		mapping[0] = import(_metadata, device, common);
		mapping[1] = import(_metadata, device,
				    export_part(_metadata, offset, page_size()));
		nr_mappings += 2;
		start_worker(_metadata, &mapping[i % 2], EDU_DMA_FROM_DEVICE, 0);
	}

	EXPECT_EQ(0, revoke_all());
	for (i = 0; i < nr_mappings; i++)
		EXPECT_EQ(ENODEV, transfer_data(&mappings[i], EDU_DMA_FROM_DEVICE, 0));
	expect_memory_back(_metadata);
	expect_cut_off(_metadata, ENODEV);
}

/* None returns before the memory is back because another one sees to that. */
TEST_F(peer_memory, comes_back_for_all_who_revoke_at_the_same_time)
{
	const struct device *device = find_importer();
	struct mapping mapping;
	pid_t pids[2];

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);
	pids[0] = start_revoke();
	pids[1] = start_revoke();
	EXPECT_EQ(0, finish(pids[0]));
	EXPECT_EQ(0, finish(pids[1]));
	expect_cut_off(_metadata, ENODEV);
}

TEST_F(peer_memory, can_be_exported_again_when_it_is_back)
{
	const struct device *device = find_importer();
	struct mapping old, late, new;
	int dma_buf;

	if (!device)
		SKIP(return, "%s", why_not);

	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	old = import(_metadata, device, dma_buf);
	ASSERT_EQ(0, revoke_all());
	late = old;
	EXPECT_EQ(ENODEV, import_into(&late, dma_buf, WIDE_BITS));

	new = import_part(_metadata, device);
	load_data(_metadata, &new);
	if (device->works)
		EXPECT_EQ(0, transfer_data(&new, EDU_DMA_FROM_DEVICE, TARGET));
	EXPECT_EQ(-1, find_difference());
	EXPECT_EQ(ENODEV, transfer_data(&old, EDU_DMA_FROM_DEVICE, TARGET));

	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(ENODEV, transfer_data(&new, EDU_DMA_FROM_DEVICE, TARGET));
}

/* The exporter's driver goes away */

TEST_F(peer_memory, comes_back_when_the_driver_of_its_device_is_unbound)
{
	const struct device *device = find_importer();
	struct bar_exporter_export export = { .length = page_size() };
	struct mapping mapping, late, new;
	int dma_buf;

	if (!device)
		SKIP(return, "%s", why_not);

	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	mapping = import(_metadata, device, dma_buf);
	load_data(_metadata, &mapping);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);

	EXPECT_EQ(0, finish(start_unbind(EXPORTER_DRIVER, memory.path)));
	EXPECT_EQ(-1, find_difference());
	expect_memory_back(_metadata);
	expect_cut_off(_metadata, ENODEV);

	/* The files and the dma-buf outlive the driver, but are of no use. */
	EXPECT_EQ(-1, access("/dev/" EXPORTER, F_OK));
	EXPECT_EQ(ENODEV, revoke_all());
	EXPECT_EQ(ENODEV, export_dma_buf(&export));
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, TARGET));
	late = mapping;
	EXPECT_EQ(ENODEV, import_into(&late, dma_buf, WIDE_BITS));

	ASSERT_EQ(0, bind_again());
	EXPECT_EQ(ENODEV, revoke_all());
	EXPECT_EQ(ENODEV, import_into(&late, dma_buf, WIDE_BITS));
	keep_file(_metadata, exporter);
	exporter = open_test_device("bar_exporter", 0);
	ASSERT_GE(exporter, 0);
	new = import_part(_metadata, device);
	if (device->works)
		EXPECT_EQ(0, transfer_data(&new, EDU_DMA_FROM_DEVICE, TARGET));
}

/* Whichever of the two comes first, both wait for the device. */
TEST_F(peer_memory, comes_back_for_who_revokes_while_the_driver_is_unbound)
{
	const struct device *device = find_importer();
	struct mapping mapping;
	pid_t unbinder;
	int error;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);
	unbinder = start_unbind(EXPORTER_DRIVER, memory.path);
	usleep(20000);
	error = revoke_all();
	EXPECT_TRUE(!error || error == ENODEV) {
		TH_LOG("revoke: %s", strerror(error));
	}
	EXPECT_EQ(0, finish(unbinder));
	expect_cut_off(_metadata, ENODEV);

	ASSERT_EQ(0, bind_again());
	keep_file(_metadata, exporter);
	exporter = open_test_device("bar_exporter", 0);
	ASSERT_GE(exporter, 0);
}

/* The importer goes away */

/* Nobody has the memory any more, and so there is nobody to wait for. */
static void expect_let_go(struct __test_metadata *_metadata, int error)
{
	expect_memory_back(_metadata);
	EXPECT_EQ(0, revoke_all());
	expect_cut_off(_metadata, error);
}

TEST_F(peer_memory, is_let_go_of_when_the_handle_is_unmapped)
{
	const struct device *device = find_importer();
	struct mapping mapping;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);
	EXPECT_EQ(0, unmap_memory(mapping.fd, mapping.handle));
	expect_let_go(_metadata, ENOENT);
}

TEST_F(peer_memory, is_let_go_of_when_the_file_of_the_importer_is_closed)
{
	const struct device *device = find_importer();
	struct mapping mapping;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);
	/* It stays open until the transfer is done. */
	close_file(mapping.fd);
	EXPECT_EQ(0, revoke_all());
	expect_let_go(_metadata, EBADF);
}

TEST_F(peer_memory, is_let_go_of_when_the_driver_of_the_importer_is_unbound)
{
	const struct device *device = find_importer();
	struct mapping mapping, new;

	if (!device)
		SKIP(return, "%s", why_not);

	mapping = import_part(_metadata, device);
	start_worker(_metadata, &mapping, EDU_DMA_FROM_DEVICE, TARGET);
	EXPECT_EQ(0, finish(start_unbind(IMPORTER_DRIVER, device->path)));
	expect_let_go(_metadata, ENODEV);
	EXPECT_EQ(ENODEV, unmap_memory(mapping.fd, mapping.handle));

	ASSERT_EQ(0, bind_again());
	new = import_part(_metadata, device);
	if (device->works)
		EXPECT_EQ(0, transfer_data(&new, EDU_DMA_TO_DEVICE, SOURCE));
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_TO_DEVICE, SOURCE));
}

/* Import, say so, and do transfers until the end of days. */
static void import_forever(const struct device *device, int dma_buf, int pipe_fd)
{
	struct mapping mapping = { .device = device };

	mapping.fd = open_test_device("edu_dma", device->number);
	if (mapping.fd < 0 || import_into(&mapping, dma_buf, WIDE_BITS) ||
	    write(pipe_fd, "", 1) != 1)
		return;
	if (!device->works)
		pause();
	while (!transfer_data(&mapping, EDU_DMA_FROM_DEVICE, TARGET))
		;
}

TEST_F(peer_memory, is_let_go_of_when_the_importing_process_is_killed)
{
	const struct device *device = find_importer();
	int dma_buf, pipe_fds[2];
	char byte;
	pid_t pid;

	if (!device)
		SKIP(return, "%s", why_not);

	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	ASSERT_EQ(0, pipe(pipe_fds));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		import_forever(device, dma_buf, pipe_fds[1]);
		_exit(KSFT_FAIL);
	}

	close(pipe_fds[1]);
	close_file(dma_buf);
	EXPECT_EQ(1, read(pipe_fds[0], &byte, 1));
	close(pipe_fds[0]);
	if (device->works)
		EXPECT_TRUE(wait_until_at_work(device));
	kill(pid, SIGKILL);
	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(EINTR, finish(pid));
	EXPECT_NOTHING_LEAKED(self->before);
	expect_memory_back(_metadata);
}

TEST_F(peer_memory, stays_mapped_when_only_the_dma_buf_is_closed)
{
	const struct device *device = find_importer();
	struct mapping mapping;
	int dma_buf;

	if (!device)
		SKIP(return, "%s", why_not);

	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	mapping = import(_metadata, device, dma_buf);
	close_file(dma_buf);
	if (self->before.dma_bufs >= 0)
		EXPECT_EQ(self->before.dma_bufs + 1, usage_now().dma_bufs);
	load_data(_metadata, &mapping);
	if (device->works)
		EXPECT_EQ(0, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, TARGET));
	EXPECT_EQ(-1, find_difference());

	EXPECT_EQ(0, revoke_all());
	EXPECT_EQ(ENODEV, transfer_data(&mapping, EDU_DMA_FROM_DEVICE, TARGET));
	close_file(mapping.fd);
	EXPECT_NOTHING_LEAKED(self->before);
}

/*
 * The interfaces of the test modules: a module that gets its own errors wrong is no
 * witness.
 */

TEST_F(peer_memory, is_exported_up_to_its_last_page)
{
	struct bar_exporter_export export = { .length = memory.size };

	if (why_not)
		SKIP(return, "%s", why_not);

	ASSERT_EQ(0, export_dma_buf(&export));
	EXPECT_EQ(0, close(export.fd));
	export.offset = memory.size - page_size();
	export.length = page_size();
	ASSERT_EQ(0, export_dma_buf(&export));
	EXPECT_EQ(0, close(export.fd));
}

TEST_F(peer_memory, is_not_exported_where_there_is_none)
{
	const __u64 page = page_size();
	const struct bar_exporter_export exports[] = {
		/* nothing */
		{ .offset = 0, .length = 0 },
		{ .offset = page, .length = 0 },
		/* parts of pages */
		{ .offset = 1, .length = page },
		{ .offset = page / 2, .length = page / 2 },
		{ .offset = 0, .length = page - 1 },
		{ .offset = 0, .length = page + 1 },
		/* beyond the BAR */
		{ .offset = 0, .length = memory.size + page },
		{ .offset = page, .length = memory.size },
		{ .offset = memory.size, .length = page },
		{ .offset = memory.size + page, .length = page },
		/* addresses that wrap */
		{ .offset = -page, .length = page },
		{ .offset = -page, .length = 2 * page },
		{ .offset = page, .length = -page },
		{ .offset = 0, .length = -page },
		/* padding */
		{ .offset = 0, .length = page, .pad = 1 },
	};
	unsigned int i;

	if (why_not)
		SKIP(return, "%s", why_not);

	for (i = 0; i < ARRAY_SIZE(exports); i++) {
		struct bar_exporter_export export = exports[i];

		EXPECT_EQ(EINVAL, export_dma_buf(&export)) {
			TH_LOG("%#llx bytes at %#llx", exports[i].length,
			       exports[i].offset);
		}
	}
}

TEST_F(peer_memory, is_not_imported_from_what_is_no_dma_buf)
{
	struct mapping mapping;
	int pipe_fds[2];

	if (why_not)
		SKIP(return, "%s", why_not);

	mapping.fd = open_edu(_metadata, &devices[0]);
	EXPECT_EQ(EBADF, import_into(&mapping, -1, WIDE_BITS));
	EXPECT_EQ(EINVAL, import_into(&mapping, mapping.fd, WIDE_BITS));
	ASSERT_EQ(0, pipe(pipe_fds));
	EXPECT_EQ(EINVAL, import_into(&mapping, pipe_fds[0], WIDE_BITS));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	EXPECT_EQ(EBADF, import_into(&mapping, pipe_fds[0], WIDE_BITS));
}

TEST_F(peer_memory, is_not_imported_with_unknown_flags_or_impossible_masks)
{
	struct edu_dma_import import = { .dma_bits = WIDE_BITS };
	int fd;

	if (why_not)
		SKIP(return, "%s", why_not);

	fd = open_edu(_metadata, &devices[0]);
	import.fd = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	import.flags = EDU_DMA_IMPORT_UNAWARE << 1;
	EXPECT_EQ(EINVAL, import_dma_buf(fd, &import));
	import.flags = 0;
	import.dma_bits = 0;
	EXPECT_EQ(EINVAL, import_dma_buf(fd, &import));
	import.dma_bits = WIDE_BITS + 1;
	EXPECT_EQ(EINVAL, import_dma_buf(fd, &import));
}

TEST_F(peer_memory, is_imported_with_one_mask_at_a_time)
{
	const struct device *device = find_importer();
	struct mapping mapping, second;
	int dma_buf;

	if (!device)
		SKIP(return, "%s", why_not);

	dma_buf = export_part(_metadata, 0, page_size());
	mapping = import_part(_metadata, device);
	second = mapping;
	EXPECT_EQ(EBUSY, import_into(&second, dma_buf, WIDE_BITS - 1));
	EXPECT_EQ(0, import_into(&second, dma_buf, WIDE_BITS));
}

/* Nor is anything left of what has been done until then. */
TEST_F(peer_memory, is_not_handed_to_those_who_cannot_be_told_its_number)
{
	const struct device *device = find_importer();
	struct bar_exporter_export *export;
	struct edu_dma_import *import;
	struct usage exported;
	int fd, dma_buf, next;
	void *page;

	if (!device)
		SKIP(return, "%s", why_not);

	page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	fd = open_edu(_metadata, device);
	dma_buf = export_part(_metadata, PART_OFFSET, PART_LENGTH);
	next = dup(fd);
	close(next);
	exported = usage_now();

	export = page;
	*export = (struct bar_exporter_export){ .length = page_size() };
	ASSERT_EQ(0, mprotect(page, page_size(), PROT_READ));
	EXPECT_EQ(EFAULT, export_dma_buf(export));
	/* Not even the number is taken. */
	EXPECT_EQ(next, dup(fd));
	close(next);

	ASSERT_EQ(0, mprotect(page, page_size(), PROT_READ | PROT_WRITE));
	import = page;
	*import = (struct edu_dma_import){ .fd = dma_buf, .dma_bits = WIDE_BITS };
	ASSERT_EQ(0, mprotect(page, page_size(), PROT_READ));
	EXPECT_EQ(EFAULT, import_dma_buf(fd, import));

	EXPECT_EQ(EFAULT, export_dma_buf(NULL));
	EXPECT_EQ(EFAULT, import_dma_buf(fd, NULL));
	EXPECT_NOTHING_LEAKED(exported);
	EXPECT_EQ(0, revoke_all());
}

TEST_F(peer_memory, is_not_transferred_beyond_the_dma_buf)
{
	const struct device *device = find_importer();
	struct edu_dma_import import = { .dma_bits = WIDE_BITS };
	const __u64 length = PART_LENGTH;
	__u32 direction;
	int fd;

	if (!device)
		SKIP(return, "%s", why_not);

	fd = open_edu(_metadata, device);
	import.fd = export_part(_metadata, PART_OFFSET, length);
	ASSERT_EQ(0, import_dma_buf(fd, &import));
	EXPECT_EQ(length, import.length);
	fill_memory();
	for (direction = EDU_DMA_TO_DEVICE; direction <= EDU_DMA_FROM_DEVICE; direction++) {
		EXPECT_EQ(EINVAL, transfer(fd, import.handle, direction, length, 1));
		EXPECT_EQ(EINVAL, transfer(fd, import.handle, direction, length - 1, 2));
		EXPECT_EQ(EINVAL, transfer(fd, import.handle, direction, -1, 2));
		EXPECT_EQ(EINVAL, transfer(fd, import.handle, direction, 0, 0));
		EXPECT_EQ(EINVAL, transfer(fd, import.handle, direction, 0,
					   EDU_DMA_MAX_TRANSFER + 1));
	}
	if (device->works)
		EXPECT_EQ(0, transfer(fd, import.handle, EDU_DMA_TO_DEVICE, length - 1, 1));
	EXPECT_EQ(-1, find_difference());
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the selftests of DMA mappings share: the devices, how the machine is set up,
 * where memory is, what became of a mapping, and what is left behind.
 *
 * Include ../kselftest_harness.h before this.
 */
#ifndef SELFTESTS_DMA_SELFTEST_H
#define SELFTESTS_DMA_SELFTEST_H

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/const.h>
#include <linux/mempolicy.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bar_exporter.h"
#include "edu_dma.h"

/*
 * From include/linux/dma-mapping.h, which user space does not get: no interface
 * of the kernel passes the attributes in, but for the test module.
 */
#define DMA_ATTR_DEBUGGING_IGNORE_CACHELINES	_BITULL(11)
#define DMA_ATTR_REQUIRE_COHERENT		_BITULL(12)

/* The first device, which most tests use. */
#define DEVICE		"edu_dma0"
#define DEVICE_SYSFS	"/sys/class/misc/" DEVICE "/device"

#define WIDE_BITS	64

static inline size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Read a small file as a string; an empty one if it cannot be read. */
static inline void read_file(const char *path, char *buf, size_t size)
{
	ssize_t len = 0;
	int fd;

	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		len = read(fd, buf, size - 1);
		close(fd);
	}
	buf[len > 0 ? len : 0] = '\0';
}

static inline bool write_file(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	bool ok;
	int fd;

	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	ok = write(fd, text, len) == len;
	close(fd);
	return ok;
}

/* The number after a word in a file of such pairs, like /proc/vmstat; -1 if none. */
static inline long long read_number(const char *path, const char *word)
{
	char text[16384], *at;
	long long number;

	read_file(path, text, sizeof(text));
	at = word ? strstr(text, word) : text;
	if (!at || sscanf(at + (word ? strlen(word) : 0), "%lld", &number) != 1)
		return -1;
	return number;
}

/* The modules */

/*
 * Find the file of a test module: next to the programs, or in test_modules/, where it is
 * built and installed.
 */
static inline bool find_test_module(const char *name, char *path, size_t size)
{
	static const char *const places[] = { "", "test_modules/" };
	char program[PATH_MAX] = "";
	unsigned int i;

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return false;
	dirname(program);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, size, "%s/%s%s.ko", program, places[i], name);
		if (!access(path, R_OK))
			return true;
	}
	return false;
}

/* Load a test module, if there is a file of it. */
static inline void load_test_module(const char *name)
{
	char path[2 * PATH_MAX];
	int fd;

	if (!find_test_module(name, path, sizeof(path)))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Whoever opens the device sees whether this worked. */
	syscall(SYS_finit_module, fd, "", 0);
	close(fd);
}

/* Open /dev/NAMEn of a test module; -errno if that fails. */
static inline int open_test_device(const char *name, unsigned int n)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s%u", name, n);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		load_test_module(name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* Open the first edu device, or say why there is none. */
static inline int open_device(const char **reason)
{
	int fd = open_test_device("edu_dma", 0);

	if (fd == -EACCES || fd == -EPERM)
		*reason = "need root to open /dev/" DEVICE;
	else if (fd < 0)
		*reason = "no /dev/" DEVICE ": no edu device, or edu_dma.ko is not loaded";
	return fd;
}

/* These return 0 or an errno, as a value to compare and to print. */

static inline int map_memory(int fd, struct edu_dma_map *map)
{
	return ioctl(fd, EDU_DMA_MAP, map) ? errno : 0;
}

static inline int import_dma_buf(int fd, struct edu_dma_import *import)
{
	return ioctl(fd, EDU_DMA_IMPORT, import) ? errno : 0;
}

static inline int unmap_memory(int fd, __u32 handle)
{
	struct edu_dma_unmap unmap = { .handle = handle };

	return ioctl(fd, EDU_DMA_UNMAP, &unmap) ? errno : 0;
}

static inline int transfer(int fd, __u32 handle, __u32 direction, __u64 offset,
			   __u32 length)
{
	struct edu_dma_transfer arg = {
		.handle = handle,
		.direction = direction,
		.offset = offset,
		.length = length,
	};

	return ioctl(fd, EDU_DMA_TRANSFER, &arg) ? errno : 0;
}

static inline const char *error_name(int error)
{
	switch (error) {
	case EBUSY:
		return "EBUSY";
	case EFAULT:
		return "EFAULT";
	case EINVAL:
		return "EINVAL";
	case EIO:
		return "EIO";
	case ENODEV:
		return "ENODEV";
	case ENOENT:
		return "ENOENT";
	case ENOMEM:
		return "ENOMEM";
	case ENOTTY:
		return "ENOTTY";
	case EOPNOTSUPP:
		return "EOPNOTSUPP";
	case EPERM:
		return "EPERM";
	case EREMOTEIO:
		return "EREMOTEIO";
	case ETIMEDOUT:
		return "ETIMEDOUT";
	default:
		return "other";
	}
}

/* The machine */

/* Does an IOMMU translate the addresses of the first device? */
static inline bool iommu_translates(void)
{
	char type[32];

	/* "DMA" or "DMA-FQ"; not "identity". */
	read_file(DEVICE_SYSFS "/iommu_group/type", type, sizeof(type));
	return !strncmp(type, "DMA", 3);
}

/* Is swiotlb=force among the kernel parameters, alone or after sizes? */
static inline bool swiotlb_forced(void)
{
	char cmdline[4096], *param, *value, *save_param, *save_value;
	bool forced = false;

	read_file("/proc/cmdline", cmdline, sizeof(cmdline));
	cmdline[strcspn(cmdline, "\n")] = '\0';
	for (param = strtok_r(cmdline, " ", &save_param); param;
	     param = strtok_r(NULL, " ", &save_param)) {
		if (strncmp(param, "swiotlb=", 8))
			continue;
		for (value = strtok_r(param + 8, ",", &save_value); value;
		     value = strtok_r(NULL, ",", &save_value))
			forced = forced || !strcmp(value, "force");
	}

	return forced;
}

static inline bool runs_on_xen(void)
{
	char type[16];

	read_file("/sys/hypervisor/type", type, sizeof(type));
	return !strncmp(type, "xen", 3);
}

/* Is there a PCI bridge above both devices in sysfs? The root of a bus is none. */
static inline bool have_common_bridge(const char *path, const char *other)
{
	unsigned int domain, bus, slot, function;
	size_t i, end = 0;

	for (i = 0; path[i] && path[i] == other[i]; i++)
		if (path[i] == '/')
			end = i;
	while (end && path[end - 1] != '/')
		end--;
	return sscanf(path + end, "%x:%x:%x.%x/", &domain, &bus, &slot, &function) == 4;
}

/* Memory */

/* The physical address of a page that is present; 0 if it cannot be told. */
static inline __u64 physical_address(const void *page)
{
	off_t offset = (uintptr_t)page / page_size() * sizeof(__u64);
	__u64 entry = 0;
	int pagemap;

	pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (pagemap < 0)
		return 0;
	if (pread(pagemap, &entry, sizeof(entry), offset) != sizeof(entry) ||
	    !(entry >> 63))
		entry = 0;
	close(pagemap);
	return (entry & (_BITULL(55) - 1)) * page_size();
}

/*
 * Take memory from the last node, if there are several: it has what is above a DMA mask,
 * and the others may have more than anybody looks through.
 */
static inline void prefer_last_node(void *area, size_t size)
{
	unsigned long mask;
	char nodes[64], *last;

	/* "0-1" or "0,2" */
	read_file("/sys/devices/system/node/has_memory", nodes, sizeof(nodes));
	last = nodes + strlen(nodes);
	while (last > nodes && !strchr("-,", last[-1]))
		last--;
	if (atoi(last) < (int)(8 * sizeof(mask))) {
		mask = 1UL << atoi(last);
		/* Without it the search takes longer and may fail, no more. */
		syscall(SYS_mbind, area, size, MPOL_PREFERRED, &mask, 8 * sizeof(mask), 0);
	}
}

/* What is left behind */

/**
 * struct usage - what mappings consume
 * @mappings: those of all edu devices, as dma-debug has them; -1 if it does not tell
 * @slots: of SWIOTLB, in use; -1 if it does not tell
 * @pins: pages that are pinned
 * @dma_bufs: that exist; -1 if the kernel does not tell
 */
struct usage {
	long long mappings;
	long long slots;
	long long pins;
	long long dma_bufs;
};

static inline long long count_edu_mappings(void)
{
	long long count = 0;
	char line[512];
	FILE *dump;

	dump = fopen("/sys/kernel/debug/dma-api/dump", "r");
	if (!dump)
		return -1;
	while (fgets(line, sizeof(line), dump))
		count += !strncmp(line, "edu_dma ", 8);
	fclose(dump);
	return count;
}

static inline long long count_dma_bufs(void)
{
	long long count = -1;
	char line[512];
	FILE *info;

	info = fopen("/sys/kernel/debug/dma_buf/bufinfo", "r");
	if (!info)
		return -1;
	while (fgets(line, sizeof(line), info))
		sscanf(line, "Total %lld objects", &count);
	fclose(info);
	return count;
}

static inline struct usage usage_now(void)
{
	struct usage usage;

	/* Until then each CPU has some of the pins in a counter of its own. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	usage = (struct usage){
		.mappings = count_edu_mappings(),
		.slots = read_number("/sys/kernel/debug/swiotlb/io_tlb_used", NULL),
		.pins = read_number("/proc/vmstat", "nr_foll_pin_acquired ") -
			read_number("/proc/vmstat", "nr_foll_pin_released "),
		.dma_bufs = count_dma_bufs(),
	};

	return usage;
}

/* For the end of a test, when everything has been closed. */
#define EXPECT_NOTHING_LEAKED(before)					\
	do {								\
		struct usage __before = (before), __now = usage_now();	\
									\
		EXPECT_EQ(__before.mappings, __now.mappings);		\
		EXPECT_EQ(__before.slots, __now.slots);			\
		EXPECT_EQ(__before.pins, __now.pins);			\
		EXPECT_EQ(__before.dma_bufs, __now.dma_bufs);		\
	} while (0)

/* Outcomes */

/*
 * Say what became of a mapping, in a line for programs to read. What the kernel does
 * comes first, then whether that is right: so the line is also there for a kernel that
 * gets it wrong.
 */
#define print_outcome(mapping, memory, attribute, ...)				\
	do {									\
		char __result[160];						\
										\
		snprintf(__result, sizeof(__result), __VA_ARGS__);		\
		ksft_print_msg("outcome: mapping=\"%s\" memory=\"%s\" "		\
			       "attribute=%s result=\"%s\"\n", mapping, memory,	\
			       attribute, __result);				\
		/* The harness leaves this process with _exit(). */		\
		fflush(stdout);							\
	} while (0)

#endif /* SELFTESTS_DMA_SELFTEST_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Do a process and a device see each other's writes through a DMA mapping, with
 * nobody calling dma_sync_*() in between?
 *
 * This is what RDMA memory regions, HMM mirrors and GPU userptr take for granted,
 * and what a bounce buffer breaks: the device works on a copy. A mapping with
 * DMA_ATTR_REQUIRE_COHERENT must give the device the memory itself or fail. One
 * without the attribute is mapped all the same, and the data go stale silently.
 *
 * Each case maps memory, writes fresh data to one place, has the device read them
 * and write them back to another place, and compares. It prints what it saw as
 *
 *   # outcome: mapping="..." memory="..." attribute=... result="..."
 *
 * before it compares that with what is right, so that the line is also there for a
 * kernel that gets it wrong. What is right follows from how the machine is set up
 * and from where the memory is; see mapping_bounces().
 *
 * It needs root, and:
 *
 * - QEMU with "-device edu,dma_mask=0xffffffffffffffff". The one device serves all
 *   cases: the driver gives it a DMA mask of 28 or 64 bits for each mapping. With
 *   QEMU's default for dma_mask the device would cut addresses off by itself, and
 *   hit the wrong memory with the 64-bit mask. The first such device is used.
 * - test_modules/edu_dma.ko, loaded.
 * - for the cases above the 28-bit mask without the attribute: SWIOTLB with its
 *   pool below 256 MiB, or there is nothing the kernel could bounce to. On x86-64,
 *   "-m 5G" and the kernel parameter memmap=1792M$256M do that. They leave no
 *   other memory below 4 GiB, where the pool has to be.
 * - for everything else to bounce as well: the kernel parameter swiotlb=force.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/const.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "edu_dma.h"

/*
 * From include/linux/dma-mapping.h, which user space does not get: no interface
 * of the kernel passes the attribute in, but for the test module.
 */
#define DMA_ATTR_REQUIRE_COHERENT	_BITULL(12)

#define DEVICE		"edu_dma0"
#define DEVICE_NODE	"/dev/" DEVICE
#define DEVICE_SYSFS	"/sys/class/misc/" DEVICE "/device"
#define DRIVER_SYSFS	"/sys/bus/pci/drivers/edu_dma"
#define TRACE_FORMAT	"/sys/kernel/tracing/events/dma/dma_map_phys/format"

/* The narrow mask is the one that edu is known for. */
#define NARROW_BITS	28
#define WIDE_BITS	64
#define NARROW_LIMIT	_BITULL(NARROW_BITS)

#define MAX_PAGES	8
#define DATA_LENGTH	1024
#define ROUNDS		2

/* From the actions of syslog(2); the C library has no names for them. */
#define SYSLOG_ACTION_READ_ALL		3
#define SYSLOG_ACTION_SIZE_BUFFER	10

static size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Read a small file as a string; an empty one if it cannot be read. */
static void read_file(const char *path, char *buf, size_t size)
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

static bool write_file(const char *path, const char *text)
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

/* Does an IOMMU translate the device's addresses? */
static bool iommu_translates(void)
{
	char type[32];

	/* "DMA" or "DMA-FQ"; not "identity". */
	read_file(DEVICE_SYSFS "/iommu_group/type", type, sizeof(type));
	return !strncmp(type, "DMA", 3);
}

/* Is swiotlb=force among the kernel parameters, alone or after sizes? */
static bool swiotlb_forced(void)
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

/*
 * Is the SWIOTLB pool where a device with the narrow mask reaches it? Without that
 * the kernel refuses to map memory above the mask, with a warning, which is no case
 * for this test. Only the kernel log tells where the pool is, and not on all
 * machines; where it does not, a pool in the right place would be a coincidence.
 */
static bool swiotlb_below_narrow_limit(void)
{
	static const char mapped[] = "software IO TLB: mapped [mem ";
	unsigned long long start, end;
	bool below = false;
	char *log, *line;
	int size, len;

	size = klogctl(SYSLOG_ACTION_SIZE_BUFFER, NULL, 0);
	if (size <= 0)
		return false;
	log = malloc(size + 1);
	if (!log)
		return false;

	len = klogctl(SYSLOG_ACTION_READ_ALL, log, size);
	log[len > 0 ? len : 0] = '\0';
	line = strstr(log, mapped);
	if (line && sscanf(line + strlen(mapped), "%llx-%llx", &start, &end) == 2)
		below = end <= NARROW_LIMIT;

	free(log);
	return below;
}

/*
 * What is right, from the set-up alone. In particular it does not look at what
 * became of a mapping: that is the claim to test.
 */
static bool mapping_bounces(bool above_mask)
{
	/* An IOMMU has an address below the mask for any whole page. */
	if (iommu_translates())
		return false;
	return above_mask || swiotlb_forced();
}

/* Half of the memory that is to be had, in bytes. */
static size_t memory_budget(void)
{
	unsigned long long kib = 0;
	char meminfo[4096], *line;

	read_file("/proc/meminfo", meminfo, sizeof(meminfo));
	line = strstr(meminfo, "MemAvailable:");
	if (line && sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
		kib = 0;
	return (kib * 1024 / 2) & ~(page_size() - 1);
}

/* The physical address of a page that is present; 0 if it cannot be told. */
static __u64 physical_address(int pagemap, const void *page)
{
	__u64 entry;
	off_t offset = (uintptr_t)page / page_size() * sizeof(entry);

	if (pread(pagemap, &entry, sizeof(entry), offset) != sizeof(entry))
		return 0;
	if (!(entry >> 63))
		return 0;
	return (entry & (_BITULL(55) - 1)) * page_size();
}

static bool adjacent_to_any(__u64 phys, const __u64 *other, unsigned int nr)
{
	while (nr--)
		if (phys + page_size() == other[nr] || other[nr] + page_size() == phys)
			return true;
	return false;
}

/*
 * Fill [memory, memory + nr pages) with pages that begin at @lowest or above, no
 * two of them adjacent, so that each one is a segment of its own. Go through
 * memory until there are enough of them, but take no more than half of it.
 *
 * Return NULL, or why it did not work.
 */
static const char *place_pages(unsigned char *memory, unsigned int nr,
			       __u64 lowest)
{
	size_t size = memory_budget(), offset;
	const char *reason = NULL;
	__u64 phys[MAX_PAGES];
	unsigned int found = 0;
	unsigned char *area;
	int pagemap;

	pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (pagemap < 0)
		return "cannot open /proc/self/pagemap";

	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED) {
		reason = "no memory to look for pages in";
		goto close;
	}
	/* Huge pages are contiguous, which is just what is not wanted. */
	madvise(area, size, MADV_NOHUGEPAGE);

	for (offset = 0; offset < size && found < nr; offset += page_size()) {
		memset(area + offset, 0, page_size());
		phys[found] = physical_address(pagemap, area + offset);
		if (!phys[found]) {
			reason = "no physical addresses in /proc/self/pagemap";
			goto unmap;
		}
		if (phys[found] < lowest || adjacent_to_any(phys[found], phys, found))
			continue;
		/* This moves the page, not its contents. */
		if (mremap(area + offset, page_size(), page_size(),
			   MREMAP_MAYMOVE | MREMAP_FIXED,
			   memory + found * page_size()) == MAP_FAILED) {
			reason = "cannot move pages";
			goto unmap;
		}
		found++;
	}
	if (found < nr)
		reason = "too little memory above the 28-bit DMA mask";

unmap:
	munmap(area, size);
close:
	close(pagemap);
	return reason;
}

/* Are the pages of a mapping still where place_pages() put them? */
static bool still_placed(const unsigned char *memory, unsigned int nr,
			 __u64 lowest)
{
	bool ok = true;
	int pagemap;

	pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (pagemap < 0)
		return false;
	while (nr--)
		ok = ok && physical_address(pagemap, memory + nr * page_size()) >= lowest;
	close(pagemap);
	return ok;
}

/* These return 0 or an errno, as a value to compare and to print. */

static int map_memory(int fd, struct edu_dma_map *map)
{
	return ioctl(fd, EDU_DMA_MAP, map) ? errno : 0;
}

static int unmap_memory(int fd, __u32 handle)
{
	struct edu_dma_unmap unmap = { .handle = handle };

	return ioctl(fd, EDU_DMA_UNMAP, &unmap) ? errno : 0;
}

static int transfer(int fd, __u32 handle, __u32 direction, __u64 offset,
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

static const char *error_name(int error)
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

/* Open the first device, or say why there is none. */
static int open_device(const char **reason)
{
	int fd;

	fd = open(DEVICE_NODE, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		*reason = "need root to open " DEVICE_NODE;
	else
		*reason = "no " DEVICE_NODE ": no edu device, or edu_dma.ko is not loaded";
	return -1;
}

FIXTURE(mapping)
{
	int fd;
	unsigned char *memory;
	size_t length;
	__u64 lowest;
	bool bounces;
};

FIXTURE_VARIANT(mapping)
{
	unsigned int nr_pages;
	bool above_mask;
	__u64 attrs;
};

FIXTURE_VARIANT_ADD(mapping, page_within_mask)
{
	.nr_pages = 1,
};

FIXTURE_VARIANT_ADD(mapping, page_within_mask_require_coherent)
{
	.nr_pages = 1,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, page_above_mask)
{
	.nr_pages = 1,
	.above_mask = true,
};

FIXTURE_VARIANT_ADD(mapping, page_above_mask_require_coherent)
{
	.nr_pages = 1,
	.above_mask = true,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, scattered_within_mask)
{
	.nr_pages = MAX_PAGES,
};

FIXTURE_VARIANT_ADD(mapping, scattered_within_mask_require_coherent)
{
	.nr_pages = MAX_PAGES,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, scattered_above_mask)
{
	.nr_pages = MAX_PAGES,
	.above_mask = true,
};

FIXTURE_VARIANT_ADD(mapping, scattered_above_mask_require_coherent)
{
	.nr_pages = MAX_PAGES,
	.above_mask = true,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_SETUP(mapping)
{
	const char *reason;

	self->fd = open_device(&reason);
	if (self->fd < 0)
		SKIP(return, "%s", reason);

	self->bounces = mapping_bounces(variant->above_mask);
	if (self->bounces && variant->above_mask && !variant->attrs &&
	    !swiotlb_below_narrow_limit())
		SKIP(return, "no SWIOTLB pool below the 28-bit DMA mask to bounce to");

	/* The device still has the data of the case before: choose others. */
	srandom(getpid());

	self->length = variant->nr_pages * page_size();
	self->lowest = variant->above_mask ? NARROW_LIMIT : 0;
	self->memory = mmap(NULL, self->length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	reason = place_pages(self->memory, variant->nr_pages, self->lowest);
	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(mapping)
{
	munmap(self->memory, self->length);
	close(self->fd);
}

/* What a process sees of data that the device read and wrote back. */
struct observation {
	int error;		/* of a transfer; the rest means nothing then */
	bool coherent;		/* the data, in every round */
	bool untouched;		/* what was there before, in every round */
	size_t differs_at;	/* of the data, in the first round with a difference */
	unsigned char wrote[4];
	unsigned char read_back[4];
	size_t nr_bytes;
};

static void note_difference(const unsigned char *data, const unsigned char *memory,
			    struct observation *seen)
{
	size_t i = 0, n = 0;

	while (data[i] == memory[i])
		i++;

	seen->coherent = false;
	seen->differs_at = i;
	while (i < DATA_LENGTH && n < sizeof(seen->wrote) && data[i] != memory[i]) {
		seen->wrote[n] = data[i];
		seen->read_back[n] = memory[i];
		i++;
		n++;
	}
	seen->nr_bytes = n;
}

/*
 * Pass data through the device, from one place of the mapping to another and then
 * the other way round. In a list both places are across the end of a page.
 */
static void observe(int fd, __u32 handle, unsigned char *memory,
		    unsigned int nr_pages, struct observation *seen)
{
	unsigned char data[DATA_LENGTH], before[DATA_LENGTH];
	size_t place[2], from, to, i;
	unsigned int round;

	if (nr_pages == 1) {
		place[0] = 0;
		place[1] = page_size() - DATA_LENGTH;
	} else {
		place[0] = page_size() - DATA_LENGTH / 2;
		place[1] = (nr_pages - 1) * page_size() - DATA_LENGTH / 2;
	}

	*seen = (struct observation){ .coherent = true, .untouched = true };

	for (round = 0; round < ROUNDS; round++) {
		from = place[round % 2];
		to = place[(round + 1) % 2];

		/* No zero byte, so that no byte looks like memory never written. */
		for (i = 0; i < DATA_LENGTH; i++)
			data[i] = 1 + random() % 255;
		memcpy(before, memory + to, DATA_LENGTH);

		memcpy(memory + from, data, DATA_LENGTH);
		seen->error = transfer(fd, handle, EDU_DMA_TO_DEVICE, from, DATA_LENGTH);
		if (seen->error)
			return;
		seen->error = transfer(fd, handle, EDU_DMA_FROM_DEVICE, to, DATA_LENGTH);
		if (seen->error)
			return;

		if (memcmp(memory + to, before, DATA_LENGTH))
			seen->untouched = false;
		if (memcmp(memory + to, data, DATA_LENGTH) && seen->coherent)
			note_difference(data, memory + to, seen);
	}
}

/* One line per case, for programs to read. */
static void print_outcome(const char *mapping, const char *memory,
			  const char *attribute, int map_error,
			  const struct observation *seen)
{
	char wrote[16] = "", read_back[16] = "", result[160];
	size_t i;

	for (i = 0; i < seen->nr_bytes; i++) {
		sprintf(wrote + 3 * i, " %02x", seen->wrote[i]);
		sprintf(read_back + 3 * i, " %02x", seen->read_back[i]);
	}

	if (map_error)
		snprintf(result, sizeof(result), "refused: %s (%s)",
			 strerror(map_error), error_name(map_error));
	else if (seen->error)
		snprintf(result, sizeof(result), "mapped, transfer failed: %s (%s)",
			 strerror(seen->error), error_name(seen->error));
	else if (seen->coherent)
		snprintf(result, sizeof(result), "mapped, coherent");
	else
		snprintf(result, sizeof(result),
			 "mapped, stale data: wrote%s, read back%s at byte %zu",
			 wrote, read_back, seen->differs_at);

	ksft_print_msg("outcome: mapping=\"%s\" memory=\"%s\" attribute=%s result=\"%s\"\n",
		       mapping, memory, attribute, result);
	/* The harness leaves this process with _exit(). */
	fflush(stdout);
}

TEST_F(mapping, does_what_its_attributes_promise)
{
	bool single = variant->nr_pages == 1;
	struct observation seen = { };
	struct edu_dma_map map = {
		.addr = (uintptr_t)self->memory,
		.length = self->length,
		.attrs = variant->attrs,
		.dma_bits = variant->above_mask ? NARROW_BITS : WIDE_BITS,
		.flags = single ? EDU_DMA_MAP_PAGE : 0,
	};
	int expected = 0, error;

	if (variant->attrs && self->bounces)
		expected = single ? EIO : EOPNOTSUPP;

	error = map_memory(self->fd, &map);
	if (error == ENXIO)
		SKIP(return, "this machine cannot serve a device with a %u-bit DMA mask",
		     map.dma_bits);
	if (!error) {
		/* Pinning moves pages out of some kinds of memory. */
		ASSERT_TRUE(still_placed(self->memory, variant->nr_pages, self->lowest));
		observe(self->fd, map.handle, self->memory, variant->nr_pages, &seen);
	}

	print_outcome(single ? "one page" : "8 scattered pages",
		      variant->above_mask ? "above the 28-bit DMA mask" :
					    "within the DMA mask",
		      variant->attrs ? "REQUIRE_COHERENT" : "none", error, &seen);

	EXPECT_EQ(expected, error);
	if (error)
		return;

	EXPECT_EQ(0, seen.error);
	if (variant->attrs || !self->bounces) {
		EXPECT_TRUE(seen.coherent);
	} else {
		/*
		 * As it has always been: the data are not there, and nobody is
		 * told. Should this fail, the machine does not bounce, and the cases
		 * with the attribute prove nothing.
		 */
		EXPECT_FALSE(seen.coherent);
		EXPECT_TRUE(seen.untouched);
	}
	EXPECT_EQ(0, unmap_memory(self->fd, map.handle));
}

/*
 * The interface of the test module itself: a module that gets its own errors wrong
 * is no witness. A machine may bounce these mappings; it makes no difference.
 */
FIXTURE(interface)
{
	int fd;
	unsigned char *memory;
	struct edu_dma_map map;
};

FIXTURE_SETUP(interface)
{
	const char *reason;

	self->fd = open_device(&reason);
	if (self->fd < 0)
		SKIP(return, "%s", reason);

	self->memory = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	memset(self->memory, 0, 2 * page_size());

	/* What works; each test breaks one thing of it. */
	self->map = (struct edu_dma_map){
		.addr = (uintptr_t)self->memory,
		.length = 2 * page_size(),
		.dma_bits = WIDE_BITS,
	};
}

FIXTURE_TEARDOWN(interface)
{
	munmap(self->memory, 2 * page_size());
	close(self->fd);
}

TEST_F(interface, refuses_a_length_of_zero)
{
	self->map.length = 0;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_an_oversized_length)
{
	self->map.length = EDU_DMA_MAX_LENGTH + 1;
	EXPECT_EQ(E2BIG, map_memory(self->fd, &self->map));
	self->map.length = UINT64_MAX;
	EXPECT_EQ(E2BIG, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_addresses_that_wrap)
{
	self->map.addr = UINT64_MAX - page_size() + 1;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_unknown_flags)
{
	self->map.flags = EDU_DMA_MAP_PAGE << 1;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_padding_that_is_not_zero)
{
	struct edu_dma_transfer transfer_arg = { .length = 1, .pad = 1 };
	struct edu_dma_unmap unmap_arg = { .pad = 1 };

	self->map.pad = 1;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
	EXPECT_EQ(-1, ioctl(self->fd, EDU_DMA_TRANSFER, &transfer_arg));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(self->fd, EDU_DMA_UNMAP, &unmap_arg));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(interface, refuses_masks_out_of_range)
{
	self->map.dma_bits = 0;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
	self->map.dma_bits = 65;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_two_pages_as_one)
{
	self->map.flags = EDU_DMA_MAP_PAGE;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
	self->map.addr += page_size() - 1;
	self->map.length = 2;
	EXPECT_EQ(EINVAL, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_an_address_without_memory)
{
	ASSERT_EQ(0, munmap(self->memory + page_size(), page_size()));
	EXPECT_EQ(EFAULT, map_memory(self->fd, &self->map));
	self->map.addr += page_size();
	self->map.length = page_size();
	EXPECT_EQ(EFAULT, map_memory(self->fd, &self->map));
	self->map.flags = EDU_DMA_MAP_PAGE;
	EXPECT_EQ(EFAULT, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_read_only_memory)
{
	ASSERT_EQ(0, mprotect(self->memory, 2 * page_size(), PROT_READ));
	EXPECT_EQ(EFAULT, map_memory(self->fd, &self->map));
}

TEST_F(interface, refuses_a_transfer_outside_the_mapping)
{
	const __u64 length = self->map.length;
	__u32 handle;

	ASSERT_EQ(0, map_memory(self->fd, &self->map));
	handle = self->map.handle;

	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_TO_DEVICE, length, 1));
	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_TO_DEVICE, length - 1, 2));
	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_FROM_DEVICE, length, 1));
	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_FROM_DEVICE, UINT64_MAX, 2));
	EXPECT_EQ(0, transfer(self->fd, handle, EDU_DMA_TO_DEVICE, length - 1, 1));
}

TEST_F(interface, refuses_a_transfer_that_the_device_cannot_do)
{
	__u32 handle;

	ASSERT_EQ(0, map_memory(self->fd, &self->map));
	handle = self->map.handle;

	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_TO_DEVICE, 0, 0));
	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_TO_DEVICE, 0,
				   EDU_DMA_MAX_TRANSFER + 1));
	EXPECT_EQ(EINVAL, transfer(self->fd, handle, EDU_DMA_FROM_DEVICE + 1, 0, 1));
	EXPECT_EQ(0, transfer(self->fd, handle, EDU_DMA_TO_DEVICE, 0,
			      EDU_DMA_MAX_TRANSFER));
}

TEST_F(interface, knows_only_the_handles_of_the_file)
{
	const char *reason;
	int other;

	EXPECT_EQ(ENOENT, transfer(self->fd, 0, EDU_DMA_TO_DEVICE, 0, 1));
	EXPECT_EQ(ENOENT, unmap_memory(self->fd, 0));
	EXPECT_EQ(ENOENT, unmap_memory(self->fd, UINT32_MAX));

	ASSERT_EQ(0, map_memory(self->fd, &self->map));
	other = open_device(&reason);
	ASSERT_GE(other, 0);
	EXPECT_EQ(ENOENT, transfer(other, self->map.handle, EDU_DMA_TO_DEVICE, 0, 1));
	EXPECT_EQ(ENOENT, unmap_memory(other, self->map.handle));
	close(other);

	EXPECT_EQ(0, unmap_memory(self->fd, self->map.handle));
	EXPECT_EQ(ENOENT, unmap_memory(self->fd, self->map.handle));
}

/* The mask is the device's, and a mapping was made for the mask of its time. */
TEST_F(interface, keeps_the_mask_while_there_are_mappings)
{
	struct edu_dma_map second = self->map;
	const char *reason;
	int other;

	self->map.length = page_size();
	second.addr += page_size();
	second.length = page_size();

	ASSERT_EQ(0, map_memory(self->fd, &self->map));
	other = open_device(&reason);
	ASSERT_GE(other, 0);

	second.dma_bits = WIDE_BITS - 1;
	EXPECT_EQ(EBUSY, map_memory(other, &second));
	second.dma_bits = WIDE_BITS;
	EXPECT_EQ(0, map_memory(other, &second));

	/* Closing the file unmaps what is left. */
	close(other);
	EXPECT_EQ(0, unmap_memory(self->fd, self->map.handle));
	self->map.dma_bits = WIDE_BITS - 1;
	EXPECT_EQ(0, map_memory(self->fd, &self->map));
}

TEST_F(interface, survives_removal_of_the_device)
{
	char device[PATH_MAX], *slot;
	const char *reason;
	bool bound;
	int again;

	if (!realpath(DEVICE_SYSFS, device))
		SKIP(return, "no " DEVICE_SYSFS ": no sysfs?");
	slot = strrchr(device, '/') + 1;

	ASSERT_EQ(0, map_memory(self->fd, &self->map));
	ASSERT_TRUE(write_file(DRIVER_SYSFS "/unbind", slot));
	EXPECT_EQ(ENODEV, transfer(self->fd, self->map.handle, EDU_DMA_TO_DEVICE, 0, 1));
	EXPECT_EQ(ENODEV, unmap_memory(self->fd, self->map.handle));
	EXPECT_EQ(ENODEV, map_memory(self->fd, &self->map));
	EXPECT_EQ(-1, open_device(&reason));

	bound = write_file(DRIVER_SYSFS "/bind", slot);
	ASSERT_TRUE(bound);
	/* The file stays with the device that was. */
	EXPECT_EQ(ENODEV, unmap_memory(self->fd, self->map.handle));
	again = open_device(&reason);
	ASSERT_GE(again, 0);
	EXPECT_EQ(0, map_memory(again, &self->map));
	EXPECT_EQ(0, transfer(again, self->map.handle, EDU_DMA_TO_DEVICE, 0, 1));
	close(again);
}

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

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
 * and write them back to another place, and compares. Then it does so again while
 * the CPU keeps writing, right next to what the device writes, too. It prints what
 * it saw as
 *
 *   # outcome: mapping="..." memory="..." attribute=... result="..."
 *
 * and compares that with what is right. What is right follows from how the machine
 * is set up and from where the memory is; see mapping_bounces().
 *
 * It needs root, and:
 *
 * - QEMU with "-device edu,dma_mask=0xffffffffffffffff". The one device serves all
 *   cases: the driver gives it a narrow or a wide DMA mask for each mapping. With
 *   QEMU's default for dma_mask the device would cut addresses off by itself, and
 *   hit the wrong memory with the wide mask. The first such device is used.
 * - test_modules/edu_dma.ko, loaded or in its place for the test to load.
 * - for the cases above the narrow mask: memory above it, and without the attribute
 *   SWIOTLB with its pool below, or there is nothing the kernel could bounce to. The
 *   narrow mask has 28 bits, for which edu is known, or 32 if there is no memory
 *   below 256 MiB. On x86-64, "-m 5G" and the kernel parameter memmap=1792M$256M
 *   put the pool there. They leave no other memory below 4 GiB, where it has to be.
 * - for everything else to bounce as well: the kernel parameter swiotlb=force.
 */
#include <pthread.h>
#include <sys/klog.h>

#include "../kselftest_harness.h"
#include "selftest.h"

#define MAX_PAGES	8
#define DATA_LENGTH	1024
#define ROUNDS		2

/* The counters of a CPU that works at the same time, and those right next to them. */
#define NR_WORDS	64
#define NR_NEXT		4

/* From the actions of syslog(2); the C library has no names for them. */
#define SYSLOG_ACTION_READ_ALL		3
#define SYSLOG_ACTION_SIZE_BUFFER	10

#define DMA_DEBUG_ERRORS	"/sys/kernel/debug/dma-api/error_count"
#define HUGE_PAGE_SIZE		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

/* The machine */

/* A mask that does not reach all memory, if there is enough. */
static unsigned int narrow_bits(void)
{
	char iomem[16384], *line;

	read_file("/proc/iomem", iomem, sizeof(iomem));
	for (line = strtok(iomem, "\n"); line; line = strtok(NULL, "\n"))
		if (strstr(line, "System RAM"))
			return strtoull(line, NULL, 16) >> 28 ? 32 : 28;
	return 28;
}

/*
 * Is the SWIOTLB pool where a device with the narrow mask reaches it? Without that
 * the kernel refuses to map memory above the mask, with a warning, which is no case
 * for this test. Only the kernel log tells where the pool is, and not on all
 * machines; where it does not, a pool in the right place would be a coincidence.
 */
static bool swiotlb_below(__u64 limit)
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
		below = end <= limit;

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
	long long kib = read_number("/proc/meminfo", "MemAvailable:");

	return kib > 0 ? (kib * 1024 / 2) & ~(page_size() - 1) : 0;
}

/* Anonymous memory to look for pages in, which may have to be above the mask. */
static unsigned char *map_search_area(size_t size, __u64 lowest)
{
	unsigned char *area;

	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED || !lowest)
		return area;

	prefer_last_node(area, size);
	return area;
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

	area = map_search_area(size, lowest);
	if (area == MAP_FAILED)
		return "no memory to look for pages in";
	/* Huge pages are contiguous, which is just what is not wanted. */
	madvise(area, size, MADV_NOHUGEPAGE);

	for (offset = 0; offset < size && found < nr; offset += page_size()) {
		memset(area + offset, 0, page_size());
		phys[found] = physical_address(area + offset);
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
		reason = "too little memory above the narrow DMA mask";

unmap:
	munmap(area, size);
	return reason;
}

/*
 * Put a huge page that begins at @lowest or above to @memory. Return NULL, or why
 * it did not work.
 */
static const char *place_huge_page(unsigned char *memory, size_t length, __u64 lowest)
{
	size_t size = memory_budget(), offset;
	const char *reason = "no huge page above the narrow DMA mask";
	unsigned char *area;
	__u64 phys;

	area = map_search_area(size, lowest);
	if (area == MAP_FAILED)
		return "no memory to look for huge pages in";
	if (madvise(area, size, MADV_HUGEPAGE)) {
		munmap(area, size);
		return "the kernel has no huge pages";
	}

	offset = -(uintptr_t)area & (length - 1);
	for (; offset + length <= size; offset += length) {
		memset(area + offset, 0, page_size());
		phys = physical_address(area + offset);
		if (phys & (length - 1) ||
		    physical_address(area + offset + length - page_size()) !=
		    phys + length - page_size()) {
			reason = "the kernel gives no huge pages";
			break;
		}
		if (phys < lowest)
			continue;
		if (mremap(area + offset, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
			   memory) == MAP_FAILED)
			reason = "cannot move a huge page";
		else
			reason = NULL;
		break;
	}

	munmap(area, size);
	return reason;
}

/* Are the pages of a mapping still where they were put? */
static bool still_placed(const unsigned char *memory, size_t length, __u64 lowest,
			 bool huge)
{
	__u64 first = physical_address(memory), phys;
	size_t offset;

	for (offset = 0; offset < length; offset += page_size()) {
		phys = physical_address(memory + offset);
		if (!phys || phys < lowest || (huge && phys != first + offset))
			return false;
	}
	return true;
}

/* What a process sees of data that the device read and wrote back. */
struct observation {
	int error;		/* of a transfer; the rest means nothing then */
	bool coherent;		/* the data, in every round */
	bool untouched;		/* what was there before, in every round */
	bool concurrent;	/* ...and when the CPU wrote at the same time */
	size_t differs_at;	/* of the data, in the first round with a difference */
	unsigned char wrote[4];
	unsigned char read_back[4];
	size_t nr_bytes;
};

/* Where in some memory data are read and written, and by which mappings. */
struct mapped {
	int fd;
	unsigned char *memory;
	size_t from;
	size_t to;
	__u32 from_handle;	/* begins with the memory */
	__u32 to_handle;
	size_t to_begins;	/* after the beginning of the memory */
};

static int pass_through(const struct mapped *mapped, size_t length)
{
	int error;

	error = transfer(mapped->fd, mapped->from_handle, EDU_DMA_TO_DEVICE,
			 mapped->from, length);
	if (error)
		return error;
	return transfer(mapped->fd, mapped->to_handle, EDU_DMA_FROM_DEVICE,
			mapped->to - mapped->to_begins, length);
}

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

/* Pass data through the device, from one place to another. */
static void take_turns(const struct mapped *mapped, struct observation *seen)
{
	unsigned char data[DATA_LENGTH], before[DATA_LENGTH];
	unsigned char *to = mapped->memory + mapped->to;
	size_t i;

	/* No zero byte, so that no byte looks like memory never written. */
	for (i = 0; i < DATA_LENGTH; i++)
		data[i] = 1 + random() % 255;
	memcpy(before, to, DATA_LENGTH);

	memcpy(mapped->memory + mapped->from, data, DATA_LENGTH);
	seen->error = pass_through(mapped, DATA_LENGTH);
	if (seen->error)
		return;

	if (memcmp(to, before, DATA_LENGTH))
		seen->untouched = false;
	if (memcmp(to, data, DATA_LENGTH) && seen->coherent)
		note_difference(data, to, seen);
}

/* A CPU that counts in the memory that the device reads, and next to what it writes. */
struct counting {
	__u32 *words;
	__u32 *next[2];
	__u32 count;		/* that all words have at least */
	bool stop;
	bool disturbed;		/* words next to those of the device */
};

static void *count_in_memory(void *data)
{
	struct counting *counting = data;
	__u32 count = 1;
	unsigned int i;

	while (!__atomic_load_n(&counting->stop, __ATOMIC_ACQUIRE)) {
		count++;
		for (i = 0; i < 2 * NR_NEXT; i++) {
			__u32 *word = &counting->next[i % 2][i / 2];

			if (__atomic_load_n(word, __ATOMIC_RELAXED) != count - 1)
				counting->disturbed = true;
			__atomic_store_n(word, count, __ATOMIC_RELAXED);
		}
		for (i = 0; i < NR_WORDS; i++)
			__atomic_store_n(&counting->words[i], count, __ATOMIC_RELAXED);
		__atomic_store_n(&counting->count, count, __ATOMIC_RELEASE);
	}
	return NULL;
}

/*
 * Pass counters through the device while a CPU counts. Whatever the device has read
 * must have been there when it did: neither from before, nor torn.
 */
static void work_at_the_same_time(const struct mapped *mapped,
				  struct observation *seen)
{
	__u32 *words = (__u32 *)(mapped->memory + mapped->from), first, last, word;
	__u32 *result = (__u32 *)(mapped->memory + mapped->to) + NR_NEXT;
	struct mapped part = *mapped;
	struct counting counting = {
		.words = words,
		.next = { result - NR_NEXT, result + NR_WORDS },
	};
	pthread_t thread;
	unsigned int i;

	part.to += NR_NEXT * sizeof(*result);
	memset(result - NR_NEXT, 0, (NR_WORDS + 2 * NR_NEXT) * sizeof(*result));
	for (i = 0; i < 2 * NR_NEXT; i++)
		counting.next[i % 2][i / 2] = 1;
	if (pthread_create(&thread, NULL, count_in_memory, &counting)) {
		seen->error = EAGAIN;
		return;
	}
	while (!__atomic_load_n(&counting.count, __ATOMIC_ACQUIRE))
		sched_yield();

	first = __atomic_load_n(&counting.count, __ATOMIC_ACQUIRE);
	seen->error = pass_through(&part, NR_WORDS * sizeof(*words));
	/* It may have begun to write the next one. */
	last = __atomic_load_n(&counting.count, __ATOMIC_ACQUIRE) + 1;

	__atomic_store_n(&counting.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (i = 0; i < NR_WORDS; i++) {
		word = __atomic_load_n(&result[i], __ATOMIC_RELAXED);
		if (word - first > last - first)
			seen->concurrent = false;
	}
	if (counting.disturbed)
		seen->concurrent = false;
}

static struct observation observe(struct mapped mapped)
{
	struct observation seen = {
		.coherent = true,
		.untouched = true,
		.concurrent = true,
	};
	unsigned int round;

	for (round = 0; round < ROUNDS && !seen.error; round++) {
		take_turns(&mapped, &seen);
		/* The other way round: what the device wrote, it must read. */
		if (mapped.from_handle == mapped.to_handle) {
			size_t from = mapped.from;

			mapped.from = mapped.to;
			mapped.to = from;
		}
	}
	if (!seen.error)
		work_at_the_same_time(&mapped, &seen);
	return seen;
}

static void print_observation(const char *mapping, const char *memory,
			      const char *attribute, int map_error,
			      const struct observation *seen)
{
	char wrote[16] = "", read_back[16] = "";
	size_t i;

	for (i = 0; i < seen->nr_bytes; i++) {
		sprintf(wrote + 3 * i, " %02x", seen->wrote[i]);
		sprintf(read_back + 3 * i, " %02x", seen->read_back[i]);
	}

	if (map_error)
		print_outcome(mapping, memory, attribute, "refused: %s (%s)",
			      strerror(map_error), error_name(map_error));
	else if (seen->error)
		print_outcome(mapping, memory, attribute,
			      "mapped, transfer failed: %s (%s)",
			      strerror(seen->error), error_name(seen->error));
	else if (!seen->coherent)
		print_outcome(mapping, memory, attribute,
			      "mapped, stale data: wrote%s, read back%s at byte %zu",
			      wrote, read_back, seen->differs_at);
	else if (!seen->concurrent)
		print_outcome(mapping, memory, attribute,
			      "mapped, stale data while the CPU wrote, too");
	else
		print_outcome(mapping, memory, attribute, "mapped, coherent");
}

static const char *attribute_name(__u64 attrs)
{
	switch (attrs) {
	case DMA_ATTR_REQUIRE_COHERENT:
		return "REQUIRE_COHERENT";
	case DMA_ATTR_DEBUGGING_IGNORE_CACHELINES:
		return "DEBUGGING_IGNORE_CACHELINES";
	default:
		return "none";
	}
}

enum kind {
	PAGE,
	SCATTERED_PAGES,
	HUGE_PAGE,
};

static const char *const kind_names[] = {
	[PAGE] = "one page",
	[SCATTERED_PAGES] = "8 scattered pages",
	[HUGE_PAGE] = "a huge page",
};

FIXTURE(mapping)
{
	int fd;
	unsigned char *memory;
	size_t length;
	unsigned int dma_bits;
	__u64 lowest;
	bool bounces;
	struct usage before;
};

FIXTURE_VARIANT(mapping)
{
	enum kind kind;
	bool above_mask;
	__u64 attrs;
};

FIXTURE_VARIANT_ADD(mapping, page_within_mask)
{
	.kind = PAGE,
};

FIXTURE_VARIANT_ADD(mapping, page_within_mask_require_coherent)
{
	.kind = PAGE,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, page_above_mask)
{
	.kind = PAGE,
	.above_mask = true,
};

FIXTURE_VARIANT_ADD(mapping, page_above_mask_require_coherent)
{
	.kind = PAGE,
	.above_mask = true,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, scattered_within_mask)
{
	.kind = SCATTERED_PAGES,
};

FIXTURE_VARIANT_ADD(mapping, scattered_within_mask_require_coherent)
{
	.kind = SCATTERED_PAGES,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, scattered_above_mask)
{
	.kind = SCATTERED_PAGES,
	.above_mask = true,
};

FIXTURE_VARIANT_ADD(mapping, scattered_above_mask_require_coherent)
{
	.kind = SCATTERED_PAGES,
	.above_mask = true,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, huge_page_within_mask)
{
	.kind = HUGE_PAGE,
};

FIXTURE_VARIANT_ADD(mapping, huge_page_within_mask_require_coherent)
{
	.kind = HUGE_PAGE,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(mapping, huge_page_above_mask)
{
	.kind = HUGE_PAGE,
	.above_mask = true,
};

FIXTURE_VARIANT_ADD(mapping, huge_page_above_mask_require_coherent)
{
	.kind = HUGE_PAGE,
	.above_mask = true,
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_SETUP(mapping)
{
	unsigned int narrow = narrow_bits();
	const char *reason;
	long long huge;

	self->fd = open_device(&reason);
	if (self->fd < 0)
		SKIP(return, "%s", reason);
	self->before = usage_now();

	self->bounces = mapping_bounces(variant->above_mask);
	if (self->bounces && variant->above_mask && !variant->attrs &&
	    !swiotlb_below(_BITULL(narrow)))
		SKIP(return, "no SWIOTLB pool below the %u-bit DMA mask to bounce to",
		     narrow);

	/* The device still has the data of the case before: choose others. */
	srandom(getpid());

	self->dma_bits = variant->above_mask ? narrow : WIDE_BITS;
	self->lowest = variant->above_mask ? _BITULL(narrow) : 0;
	huge = read_number(HUGE_PAGE_SIZE, NULL);
	if (variant->kind == PAGE)
		self->length = page_size();
	else if (variant->kind == SCATTERED_PAGES)
		self->length = MAX_PAGES * page_size();
	else if (huge > 0)
		self->length = huge;
	else
		SKIP(return, "the kernel has no huge pages");

	self->memory = mmap(NULL, 2 * self->length, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	if (variant->kind == HUGE_PAGE) {
		/* Only at such an address is it mapped as a huge page. */
		self->memory += -(uintptr_t)self->memory & (self->length - 1);
		reason = place_huge_page(self->memory, self->length, self->lowest);
	} else {
		reason = place_pages(self->memory, self->length / page_size(),
				     self->lowest);
	}
	if (reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(mapping)
{
	close(self->fd);
	munmap(self->memory, self->length);
	EXPECT_NOTHING_LEAKED(self->before);
}

TEST_F(mapping, does_what_its_attributes_promise)
{
	bool single = variant->kind == PAGE;
	struct observation seen = { };
	struct edu_dma_map map = {
		.addr = (uintptr_t)self->memory,
		.length = self->length,
		.attrs = variant->attrs,
		.dma_bits = self->dma_bits,
		.flags = single ? EDU_DMA_MAP_PAGE : 0,
	};
	struct mapped mapped = {
		.fd = self->fd,
		.memory = self->memory,
		.from = 0,
		.to = self->length - DATA_LENGTH,
	};
	int expected = 0, error;
	char memory[40];

	if (variant->attrs && self->bounces)
		expected = single ? EIO : EOPNOTSUPP;

	error = map_memory(self->fd, &map);
	if (error == ENXIO)
		SKIP(return, "this machine cannot serve a device with a %u-bit DMA mask",
		     map.dma_bits);
	if (!error) {
		/* Pinning moves pages out of some kinds of memory. */
		ASSERT_TRUE(still_placed(self->memory, self->length, self->lowest,
					 variant->kind == HUGE_PAGE));
		mapped.from_handle = map.handle;
		mapped.to_handle = map.handle;
		/* Both places across the end of a page. */
		if (!single) {
			mapped.from = page_size() - DATA_LENGTH / 2;
			mapped.to = self->length - page_size() - DATA_LENGTH / 2;
		}
		seen = observe(mapped);
	}

	snprintf(memory, sizeof(memory), variant->above_mask ?
		 "above the %u-bit DMA mask" : "within the DMA mask", self->dma_bits);
	print_observation(kind_names[variant->kind], memory,
			  attribute_name(variant->attrs), error, &seen);

	EXPECT_EQ(expected, error);
	if (error)
		return;

	EXPECT_EQ(0, seen.error);
	if (variant->attrs || !self->bounces) {
		EXPECT_TRUE(seen.coherent);
		EXPECT_TRUE(seen.concurrent);
	} else {
		/*
		 * As it has always been: the data are not there, and nobody is
		 * told. Should this fail, the machine does not bounce, and the cases
		 * with the attribute prove nothing.
		 */
		EXPECT_FALSE(seen.coherent);
		EXPECT_TRUE(seen.untouched);
		EXPECT_FALSE(seen.concurrent);
	}
	EXPECT_EQ(0, unmap_memory(self->fd, map.handle));
}

/*
 * Two mappings that have a cacheline in common. Without coherence the maintenance of
 * one would destroy what the device wrote through the other, so dma-debug reports it,
 * unless the attributes say that nothing can happen, or that it is meant to be so.
 */
FIXTURE(overlap)
{
	int fd;
	unsigned char *memory;
	long long reports;
	struct usage before;
};

FIXTURE_VARIANT(overlap)
{
	__u64 attrs;
	bool same;		/* memory, not just a cacheline */
};

FIXTURE_VARIANT_ADD(overlap, of_a_cacheline_require_coherent)
{
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
};

FIXTURE_VARIANT_ADD(overlap, of_a_cacheline_ignored)
{
	.attrs = DMA_ATTR_DEBUGGING_IGNORE_CACHELINES,
};

FIXTURE_VARIANT_ADD(overlap, of_the_same_memory_require_coherent)
{
	.attrs = DMA_ATTR_REQUIRE_COHERENT,
	.same = true,
};

FIXTURE_VARIANT_ADD(overlap, of_the_same_memory_ignored)
{
	.attrs = DMA_ATTR_DEBUGGING_IGNORE_CACHELINES,
	.same = true,
};

FIXTURE_SETUP(overlap)
{
	const char *reason;

	self->fd = open_device(&reason);
	if (self->fd < 0)
		SKIP(return, "%s", reason);
	self->before = usage_now();
	self->reports = read_number(DMA_DEBUG_ERRORS, NULL);
	srandom(getpid());

	self->memory = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	memset(self->memory, 0, page_size());
}

FIXTURE_TEARDOWN(overlap)
{
	close(self->fd);
	munmap(self->memory, page_size());
	EXPECT_NOTHING_LEAKED(self->before);
}

TEST_F(overlap, is_coherent_and_not_reported)
{
	bool bounces = mapping_bounces(false);
	struct edu_dma_map first = {
		.addr = (uintptr_t)self->memory,
		.length = page_size(),
		.attrs = variant->attrs,
		.dma_bits = WIDE_BITS,
		.flags = EDU_DMA_MAP_PAGE,
	};
	struct edu_dma_map second = first;
	struct observation seen = { };
	struct mapped mapped = {
		.fd = self->fd,
		.memory = self->memory,
		.from = 0,
		.to = page_size() - DATA_LENGTH,
	};
	int expected = 0, error;

	/* The second one begins in the middle of the last cacheline of the first. */
	if (!variant->same) {
		first.length = page_size() / 2 + 16;
		second.addr += first.length;
		second.length -= first.length;
		mapped.from = first.length - DATA_LENGTH;
		mapped.to = first.length;
		mapped.to_begins = first.length;
	}
	if (bounces && variant->attrs == DMA_ATTR_REQUIRE_COHERENT)
		expected = EIO;

	error = map_memory(self->fd, &first);
	EXPECT_EQ(expected, error);
	if (!error)
		error = map_memory(self->fd, &second);
	EXPECT_EQ(expected, error);
	if (!error) {
		mapped.from_handle = first.handle;
		mapped.to_handle = second.handle;
		seen = observe(mapped);
	}

	print_observation(variant->same ? "one page, twice" :
					  "two mappings of one cacheline",
			  "within the DMA mask", attribute_name(variant->attrs), error,
			  &seen);

	EXPECT_EQ(self->reports, read_number(DMA_DEBUG_ERRORS, NULL));
	if (error)
		return;
	EXPECT_EQ(0, seen.error);
	EXPECT_EQ(!bounces, seen.coherent);
	EXPECT_EQ(!bounces, seen.concurrent);
	EXPECT_EQ(0, unmap_memory(self->fd, first.handle));
	EXPECT_EQ(0, unmap_memory(self->fd, second.handle));
}

TEST_HARNESS_MAIN

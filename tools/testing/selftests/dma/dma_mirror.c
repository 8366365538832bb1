// SPDX-License-Identifier: GPL-2.0
/*
 * Does a device that mirrors the address space of a process with HMM follow it,
 * whatever happens to it while the device works?
 *
 * Nothing is pinned. The kernel may take any page away at any time, if it tells the
 * driver and waits until the device has let go of it. So each case that takes one away
 * does so while the device is writing to it, and then asks three things: where did
 * that data go, does the device get what the process has there now, and does the
 * memory that was there before stay as it is.
 *
 * It needs root, test_modules/edu_dma.ko, and QEMU with
 * "-device edu,dma_mask=0xffffffffffffffff". For single cases also:
 *
 * - memory above the 28-bit DMA mask, or above the 32-bit one if the machine cannot
 *   serve a narrower one; under Xen, machine memory above the 32-bit one
 * - the kernel parameter swiotlb=force
 * - two NUMA nodes; the kernel parameter numa=fake=2 makes two of one
 * - transparent huge pages
 * - a second edu device
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "selftest.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define TRACE_FORMAT	"/sys/kernel/tracing/events/dma/dma_map_phys/format"
#define HUGE_PAGE_SIZE	"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
#define NODES_ONLINE	"/sys/devices/system/node/online"

/* The device is fast compared with this; but hosts can be slow. */
#define PATIENCE_MS	10000

/* It takes 0.1 s for a transfer, and a busy host may miss that. */
#define ATTEMPTS	20

/* What a transfer is about, and where it may begin in a page. */
#define DATA_LENGTH	256
#define PLACE(n)	((n) * 1024U)

/* What memory holds that no data went to. */
#define UNTOUCHED	0x55

/* The pages of a mirror. */
enum {
	SOURCE,		/* the CPU puts data here, for the device to take them */
	CHECK,		/* the device puts here what it read elsewhere */
	TARGET,		/* what things happen to */
	SECOND,
	THIRD,
	NR_PAGES,
};

/* A range of an address space, and the device that mirrors it. */
struct mirror {
	int fd;
	__u32 handle;
	unsigned char *memory;
};

static unsigned char *at(const struct mirror *mirror, unsigned int page,
			 unsigned int place)
{
	return mirror->memory + page * page_size() + place;
}

static void fresh_data(unsigned char *data)
{
	unsigned int i;

	/* No zero byte, so that no byte looks like memory never written. */
	for (i = 0; i < DATA_LENGTH; i++)
		data[i] = 1 + random() % 255;
}

static bool same(const unsigned char *memory, const unsigned char *data)
{
	return !memcmp(memory, data, DATA_LENGTH);
}

static bool filled_with(const unsigned char *memory, int byte, size_t length)
{
	while (length)
		if (memory[--length] != byte)
			return false;
	return true;
}

static bool untouched(const unsigned char *memory)
{
	return filled_with(memory, UNTOUCHED, DATA_LENGTH);
}

static unsigned char *map_pages(unsigned int nr_pages)
{
	return mmap(NULL, nr_pages * page_size(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Put fresh memory in the place of a page. */
static unsigned char *replace_page(unsigned char *page)
{
	return mmap(page, page_size(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/*
 * Put memory in the place of a page that is also seen elsewhere, and stays there.
 * Return where. The page itself has not been touched.
 */
static unsigned char *share_page(unsigned char *page)
{
	unsigned char *elsewhere;

	elsewhere = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (elsewhere == MAP_FAILED)
		return elsewhere;
	memset(elsewhere, UNTOUCHED, page_size());
	/* Of a mapping of no length this makes another one. */
	if (mremap(elsewhere, 0, page_size(), MREMAP_MAYMOVE | MREMAP_FIXED, page) != page)
		return MAP_FAILED;
	return elsewhere;
}

/* These return 0 or an errno. */

static int map_mirror_bits(struct mirror *mirror, unsigned int nr_pages,
			   unsigned int dma_bits)
{
	struct edu_dma_map map = {
		.addr = (uintptr_t)mirror->memory,
		.length = nr_pages * page_size(),
		.dma_bits = dma_bits,
		.flags = EDU_DMA_MAP_MIRROR,
	};
	int error;

	error = map_memory(mirror->fd, &map);
	mirror->handle = map.handle;
	return error;
}

static int map_mirror(struct mirror *mirror, unsigned int nr_pages)
{
	return map_mirror_bits(mirror, nr_pages, WIDE_BITS);
}

/* Pinned memory, to compare with; no mirror, but it is used like one. */
static int pin_page(struct mirror *pinned)
{
	struct edu_dma_map map = {
		.addr = (uintptr_t)pinned->memory,
		.length = page_size(),
		.dma_bits = WIDE_BITS,
	};
	int error;

	error = map_memory(pinned->fd, &map);
	pinned->handle = map.handle;
	return error;
}

/* Let the device write what it has to memory. */
static int device_writes(const struct mirror *mirror, unsigned int page,
			 unsigned int place)
{
	return transfer(mirror->fd, mirror->handle, EDU_DMA_FROM_DEVICE,
			page * page_size() + place, DATA_LENGTH);
}

/* Let the device read memory. */
static int device_reads(const struct mirror *mirror, unsigned int page,
			unsigned int place)
{
	return transfer(mirror->fd, mirror->handle, EDU_DMA_TO_DEVICE,
			page * page_size() + place, DATA_LENGTH);
}

/* Give the device something to write. */
static int give_device(const struct mirror *mirror, const unsigned char *data)
{
	memcpy(at(mirror, SOURCE, 0), data, DATA_LENGTH);
	return device_reads(mirror, SOURCE, 0);
}

/* What does the device see there? It is left in the page CHECK. */
static int device_sees(const struct mirror *mirror, unsigned int page,
		       unsigned int place)
{
	int error;

	memset(at(mirror, CHECK, 0), UNTOUCHED, DATA_LENGTH);
	error = device_reads(mirror, page, place);
	return error ? error : device_writes(mirror, CHECK, 0);
}

/* Threads that have the device work */

/**
 * struct work - a transfer of DATA_LENGTH, in a thread of its own
 * @mirror: where
 * @page: in which page
 * @place: where in the page
 * @thread: does it
 * @tid: of the thread; 0 before it begins
 * @done: the transfer has ended
 * @error: how it ended: 0 or an errno
 */
struct work {
	const struct mirror *mirror;
	unsigned int page;
	unsigned int place;
	pthread_t thread;
	atomic_int tid;
	atomic_bool done;
	int error;
};

/* What the threads wait for, as /proc tells it. */
#define STATE_WAITS	'D'	/* for its turn, or for the end of the transfer */

static char thread_state(pid_t pid, pid_t tid)
{
	char path[64], stat[512], *state;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	read_file(path, stat, sizeof(stat));
	/* The name of the thread may contain anything. */
	state = strrchr(stat, ')');
	return state && state[1] ? state[2] : '\0';
}

static void *do_work(void *arg)
{
	struct work *work = arg;

	work->tid = syscall(SYS_gettid);
	work->error = device_writes(work->mirror, work->page, work->place);
	work->done = true;
	return NULL;
}

static bool start_work(struct work *work)
{
	work->tid = 0;
	work->done = false;
	return !pthread_create(&work->thread, NULL, do_work, work);
}

/* Wait for the end; return 0 or the errno with which the transfer failed. */
static int end_work(struct work *work)
{
	pthread_join(work->thread, NULL);
	return work->error;
}

static bool work_waits(const struct work *work, char state)
{
	return work->tid && thread_state(getpid(), work->tid) == state;
}

/* Begin to write, and return true as soon as the device is at it. */
static bool begin_work(struct work *work)
{
	unsigned int i;

	for (i = 0; i < ATTEMPTS; i++) {
		if (!start_work(work))
			return false;
		while (!work->done) {
			if (work_waits(work, STATE_WAITS))
				return true;
			usleep(1000);
		}
		if (end_work(work))
			return false;
	}
	return false;
}

/*
 * Begin to write to a page that the CPU has not touched, and return true as soon as it
 * has been looked up but the device, which is busy with another work, cannot be had.
 * Otherwise both have ended.
 */
static bool begin_to_wait(struct work *work, struct work *busy)
{
	const unsigned char *page = at(work->mirror, work->page, 0);

	if (!begin_work(busy))
		return false;
	if (start_work(work)) {
		while (!work->done && !busy->done) {
			if (physical_address(page) && work_waits(work, STATE_WAITS))
				return true;
			usleep(1000);
		}
		end_work(work);
	}
	end_work(busy);
	return false;
}

/* Processes */

/* What two processes tell each other. */
struct stage {
	atomic_int step;
	__u32 handle;
};

static struct stage *open_stage(void)
{
	return mmap(NULL, sizeof(struct stage), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static bool wait_for_step(struct stage *stage, int step)
{
	unsigned int i;

	for (i = 0; i < PATIENCE_MS && stage->step < step; i++)
		usleep(1000);
	return stage->step >= step;
}

/* The exit status of a child; -1 if it has none. */
static int reap(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* The machine */

/* Is there memory that has no address of so many bits? */
static bool memory_above(unsigned int dma_bits)
{
	unsigned long long start, end;
	bool above = false;
	char line[256];
	FILE *iomem;

	if (dma_bits >= 64)
		return false;
	/* Where the pages of a domain are is the hypervisor's secret. */
	if (runs_on_xen())
		return true;

	iomem = fopen("/proc/iomem", "r");
	if (!iomem)
		return false;
	while (fgets(line, sizeof(line), iomem))
		/* What is indented is a part of something else. */
		if (line[0] != ' ' && strstr(line, " : System RAM") &&
		    sscanf(line, "%llx-%llx", &start, &end) == 2)
			above = above || end >> dma_bits;
	fclose(iomem);
	return above;
}

/*
 * Why a mirror cannot be had, from the set-up alone; NULL if it can. A page that is
 * found at a fault may be anywhere, so a mirror is for all memory or for none.
 */
static const char *why_refused(unsigned int dma_bits)
{
	/* An IOMMU has an address within the mask for any whole page. */
	if (iommu_translates())
		return NULL;
	if (swiotlb_forced())
		return "all memory would bounce, because of swiotlb=force";
	if (memory_above(dma_bits))
		return "memory above the DMA mask would bounce";
	return NULL;
}

/* A kernel without the series warns of mappings of one page at a time. */
static bool mirrors_may_overlap(void)
{
	char format[8192];

	read_file(TRACE_FORMAT, format, sizeof(format));
	return strstr(format, "REQUIRE_COHERENT");
}

/* Refusals */

FIXTURE(mask)
{
	struct usage before;
	struct mirror mirror;
	unsigned int dma_bits;
	char where[48];
};

FIXTURE_VARIANT(mask)
{
	bool narrow;
};

FIXTURE_VARIANT_ADD(mask, wide)
{
	.narrow = false,
};

FIXTURE_VARIANT_ADD(mask, narrow)
{
	.narrow = true,
};

/*
 * The width of the narrowest mask that the machine can serve, of those which the
 * device is known for; 0 if there is none. Whether there is a mirror makes no
 * difference.
 */
static unsigned int narrow_bits(const struct mirror *mirror)
{
	static const unsigned int widths[] = { 28, 32 };
	struct mirror attempt = *mirror;
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		error = map_mirror_bits(&attempt, 1, widths[i]);
		if (!error)
			unmap_memory(attempt.fd, attempt.handle);
		if (error != ENXIO)
			return widths[i];
	}
	return 0;
}

/* Pages at an address or above, one after the other; NULL if there are none. */
static unsigned char *pages_above(__u64 lowest, unsigned int nr_pages)
{
	unsigned char *area, *end;
	unsigned int found = 0;

	area = map_pages(EDU_DMA_MAX_LENGTH / page_size());
	if (area == MAP_FAILED)
		return NULL;
	if (lowest)
		prefer_last_node(area, EDU_DMA_MAX_LENGTH);
	for (end = area; found < nr_pages && end < area + EDU_DMA_MAX_LENGTH;
	     end += page_size()) {
		memset(end, UNTOUCHED, page_size());
		found = physical_address(end) >= lowest ? found + 1 : 0;
	}
	/* What is not needed goes away with the process. */
	return found == nr_pages ? end - nr_pages * page_size() : NULL;
}

FIXTURE_SETUP(mask)
{
	unsigned int narrow;
	__u64 lowest = 0;
	const char *reason;

	self->before = usage_now();
	self->mirror.fd = open_device(&reason);
	if (self->mirror.fd < 0)
		SKIP(return, "%s", reason);
	self->mirror.memory = map_pages(NR_PAGES);
	ASSERT_NE(MAP_FAILED, self->mirror.memory);
	srandom(getpid());

	/*
	 * This sets another mask than the wide one in any case. With a new mask a
	 * kernel without the series forgets that it bounced for the device before,
	 * so what it does now depends on nothing that came before.
	 */
	narrow = narrow_bits(&self->mirror);
	self->dma_bits = variant->narrow ? narrow : WIDE_BITS;
	if (!self->dma_bits)
		SKIP(return, "this machine cannot serve a device with a 32-bit DMA mask");
	snprintf(self->where, sizeof(self->where), "within the DMA mask");
	if (!variant->narrow)
		return;

	if (!memory_above(narrow))
		SKIP(return, "no memory above the %u-bit DMA mask", narrow);
	snprintf(self->where, sizeof(self->where), "above the %u-bit DMA mask", narrow);
	if (!runs_on_xen())
		lowest = _BITULL(narrow);
	self->mirror.memory = pages_above(lowest, NR_PAGES);
	if (!self->mirror.memory)
		SKIP(return, "no pages above the %u-bit DMA mask to be had", narrow);
}

FIXTURE_TEARDOWN(mask)
{
	close(self->mirror.fd);
	EXPECT_NOTHING_LEAKED(self->before);
}

/* Map, pass data through the device, and say what became of it. Return the errno. */
static int try_mirror(struct mirror *mirror, unsigned int dma_bits, const char *where,
		      bool *coherent)
{
	unsigned char data[DATA_LENGTH], *seen = at(mirror, TARGET, PLACE(1));
	const char *kind = "range of an HMM mirror";
	int error, transfer_error;
	unsigned int i = 0;

	*coherent = false;
	error = map_mirror_bits(mirror, NR_PAGES, dma_bits);
	if (error) {
		print_outcome(kind, where, "HMM", "refused: %s (%s)",
			      strerror(error), error_name(error));
		return error;
	}

	/* The device gets the page before the CPU writes to it. */
	transfer_error = device_reads(mirror, SOURCE, 0);
	fresh_data(data);
	if (!transfer_error)
		transfer_error = give_device(mirror, data);
	if (!transfer_error)
		transfer_error = device_writes(mirror, TARGET, PLACE(1));
	if (transfer_error) {
		print_outcome(kind, where, "HMM", "mapped, transfer failed: %s (%s)",
			      strerror(transfer_error), error_name(transfer_error));
		return 0;
	}

	*coherent = same(seen, data);
	if (*coherent) {
		print_outcome(kind, where, "HMM", "mapped, coherent");
		return 0;
	}
	while (data[i] == seen[i])
		i++;
	print_outcome(kind, where, "HMM",
		      "mapped, stale data: wrote %02x, read back %02x at byte %u",
		      data[i], seen[i], i);
	return 0;
}

TEST_F(mask, refused_where_memory_would_bounce)
{
	bool coherent;
	int error;

	if (!why_refused(self->dma_bits))
		SKIP(return, "no memory bounces for a device with a %u-bit DMA mask here",
		     self->dma_bits);

	error = try_mirror(&self->mirror, self->dma_bits, self->where, &coherent);
	if (error == ENOTTY)
		SKIP(return, "the kernel has no HMM");
	EXPECT_EQ(EOPNOTSUPP, error);
}

TEST_F(mask, coherent_where_no_memory_would_bounce)
{
	const char *reason = why_refused(self->dma_bits);
	bool coherent;
	int error;

	if (reason)
		SKIP(return, "%s", reason);

	error = try_mirror(&self->mirror, self->dma_bits, self->where, &coherent);
	if (error == ENOTTY)
		SKIP(return, "the kernel has no HMM");
	EXPECT_EQ(0, error);
	EXPECT_TRUE(coherent);
}

/* What a device sees, and what it may do */

FIXTURE(mirror)
{
	struct usage before;
	struct mirror mirror;
	unsigned char data[DATA_LENGTH];
};

FIXTURE_SETUP(mirror)
{
	const char *reason;
	int error;

	self->before = usage_now();
	self->mirror.fd = open_device(&reason);
	if (self->mirror.fd < 0)
		SKIP(return, "%s", reason);
	reason = why_refused(WIDE_BITS);
	if (reason)
		SKIP(return, "%s", reason);

	self->mirror.memory = map_pages(NR_PAGES);
	ASSERT_NE(MAP_FAILED, self->mirror.memory);
	memset(self->mirror.memory, UNTOUCHED, NR_PAGES * page_size());
	error = map_mirror(&self->mirror, NR_PAGES);
	if (error == ENOTTY)
		SKIP(return, "the kernel has no HMM");
	ASSERT_EQ(0, error);

	/* The device still has the data of the case before: choose others. */
	srandom(getpid());
	fresh_data(self->data);
}

FIXTURE_TEARDOWN(mirror)
{
	close(self->mirror.fd);
	munmap(self->mirror.memory, NR_PAGES * page_size());
	EXPECT_NOTHING_LEAKED(self->before);
}

TEST_F(mirror, passes_data_across_page_ends)
{
	const __u64 from = SECOND * page_size() - DATA_LENGTH / 2;
	const __u64 to = NR_PAGES * page_size() - page_size() - DATA_LENGTH / 2;
	const struct mirror *mirror = &self->mirror;
	unsigned char *seen = mirror->memory + to;

	memcpy(mirror->memory + from, self->data, DATA_LENGTH);
	ASSERT_EQ(0, transfer(mirror->fd, mirror->handle, EDU_DMA_TO_DEVICE, from,
			      DATA_LENGTH));
	ASSERT_EQ(0, transfer(mirror->fd, mirror->handle, EDU_DMA_FROM_DEVICE, to,
			      DATA_LENGTH));
	EXPECT_TRUE(same(seen, self->data));
	EXPECT_TRUE(untouched(seen - DATA_LENGTH));
	EXPECT_TRUE(untouched(seen + DATA_LENGTH));
}

#define NR_WORDS	(DATA_LENGTH / sizeof(__u64))

struct counter {
	atomic_ullong *words;
	atomic_bool stop;
	bool undisturbed;
};

static void *count(void *arg)
{
	struct counter *counter = arg;
	unsigned int i;
	__u64 n;

	counter->undisturbed = true;
	for (n = 1; !counter->stop; n++)
		for (i = 0; i < NR_WORDS; i++) {
			/* Nobody else writes here. */
			if (counter->words[i] != n - 1)
				counter->undisturbed = false;
			counter->words[i] = n;
		}
	return NULL;
}

TEST_F(mirror, works_on_a_page_at_the_same_time_as_the_cpu)
{
	struct counter counter = { .words = (void *)at(&self->mirror, TARGET, PLACE(0)) };
	/* In the same page, so that a copy of it would overwrite what the CPU writes. */
	const __u64 *copy = (void *)at(&self->mirror, TARGET, PLACE(2));
	__u64 first[NR_WORDS], last[NR_WORDS];
	unsigned int rounds = 0, tries, i;
	pthread_t thread;

	memset((void *)counter.words, 0, DATA_LENGTH);
	ASSERT_EQ(0, pthread_create(&thread, NULL, count, &counter));

	/* In the second round the device has had the page for a while. */
	for (tries = 0; rounds < 2 && tries < ATTEMPTS; tries++) {
		for (i = 0; i < NR_WORDS; i++)
			first[i] = counter.words[i];
		ASSERT_EQ(0, device_reads(&self->mirror, TARGET, PLACE(0)));
		for (i = 0; i < NR_WORDS; i++)
			last[i] = counter.words[i];
		ASSERT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(2)));

		for (i = 0; i < NR_WORDS; i++) {
			EXPECT_LE(first[i], copy[i]);
			EXPECT_GE(last[i], copy[i]);
		}
		/* Or else this proves nothing. */
		rounds += first[0] < last[0];
	}
	EXPECT_EQ(2U, rounds);

	counter.stop = true;
	pthread_join(thread, NULL);
	EXPECT_TRUE(counter.undisturbed);
}

TEST_F(mirror, reads_zeros_from_memory_never_touched)
{
	ASSERT_NE(MAP_FAILED, replace_page(at(&self->mirror, TARGET, 0)));

	EXPECT_EQ(0, device_sees(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(filled_with(at(&self->mirror, CHECK, 0), 0, DATA_LENGTH));
}

TEST_F(mirror, writes_to_memory_never_touched)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);

	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_NE(MAP_FAILED, replace_page(target));

	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	EXPECT_TRUE(filled_with(target, 0, PLACE(1)));
	EXPECT_TRUE(filled_with(target + PLACE(1) + DATA_LENGTH, 0,
				page_size() - PLACE(1) - DATA_LENGTH));
}

/* One page of zeros stands for all memory that has only been read. */
TEST_F(mirror, leaves_the_zero_page_alone)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	unsigned char *second = at(&self->mirror, SECOND, 0);

	ASSERT_NE(MAP_FAILED, replace_page(target));
	ASSERT_NE(MAP_FAILED, replace_page(second));
	ASSERT_EQ(0, device_reads(&self->mirror, TARGET, PLACE(1)));
	ASSERT_EQ(0, give_device(&self->mirror, self->data));

	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	EXPECT_TRUE(filled_with(second, 0, page_size()));
}

TEST_F(mirror, cannot_write_read_only_memory)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);

	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	ASSERT_EQ(0, mprotect(target, page_size(), PROT_READ));
	ASSERT_EQ(0, give_device(&self->mirror, self->data));

	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));

	/* Reading it first gives no right to write it. */
	memcpy(elsewhere, self->data, DATA_LENGTH);
	EXPECT_EQ(0, device_sees(&self->mirror, TARGET, 0));
	EXPECT_TRUE(same(at(&self->mirror, CHECK, 0), self->data));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(untouched(elsewhere + PLACE(1)));

	munmap(elsewhere, page_size());
}

TEST_F(mirror, stops_at_a_hole_in_the_range)
{
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_EQ(0, munmap(at(&self->mirror, SECOND, 0), page_size()));

	EXPECT_EQ(EFAULT, device_reads(&self->mirror, SECOND, 0));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, SECOND, 0));
	/* A transfer that gets as far as to the hole. */
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET,
					page_size() - DATA_LENGTH / 2));

	EXPECT_EQ(0, device_writes(&self->mirror, THIRD, 0));
	EXPECT_TRUE(same(at(&self->mirror, THIRD, 0), self->data));
}

TEST_F(mirror, reaches_nothing_beyond_user_space)
{
	/* Of no use on one architecture or the other, but no more than that. */
	const __u64 beyond[] = {
		_BITULL(52),
		_BITULL(63),
		0xffff000000000000,
		0xffff888000000000,
		0xffffffff81000000,
		-(__u64)page_size(),
	};
	struct edu_dma_map map = {
		.length = page_size(),
		.dma_bits = WIDE_BITS,
		.flags = EDU_DMA_MAP_MIRROR,
	};
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(beyond); i++) {
		map.addr = beyond[i];
		/* What user space might have on some machine is found out later. */
		error = map_memory(self->mirror.fd, &map);
		if (error) {
			EXPECT_EQ(EFAULT, error);
			continue;
		}
		EXPECT_EQ(EFAULT, transfer(self->mirror.fd, map.handle,
					   EDU_DMA_TO_DEVICE, 0, 1));
		EXPECT_EQ(EFAULT, transfer(self->mirror.fd, map.handle,
					   EDU_DMA_FROM_DEVICE, 0, 1));
		EXPECT_EQ(0, unmap_memory(self->mirror.fd, map.handle));
	}
}

/* Changes of the address space while the device works */

TEST_F(mirror, loses_memory_at_munmap)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct work work = { .mirror = &self->mirror, .page = TARGET };

	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	EXPECT_EQ(0, munmap(target, page_size()));
	/* Now it is somebody else's, so the device has to be done with it. */
	EXPECT_TRUE(same(elsewhere, self->data));
	memset(elsewhere, UNTOUCHED, page_size());
	/* The page with the source is still there. IOMMUs' mappings do not count. */
	if (self->before.mappings >= 0 && !iommu_translates())
		EXPECT_EQ(self->before.mappings + 1, count_edu_mappings());

	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(EFAULT, device_reads(&self->mirror, TARGET, 0));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, 0));
	EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));

	munmap(elsewhere, page_size());
}

TEST_F(mirror, follows_to_memory_mapped_in_its_place)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct work work = { .mirror = &self->mirror, .page = TARGET };

	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	ASSERT_EQ(target, replace_page(target));
	EXPECT_TRUE(same(elsewhere, self->data));
	memset(elsewhere, UNTOUCHED, page_size());
	EXPECT_EQ(0, end_work(&work));
	EXPECT_TRUE(filled_with(target, 0, page_size()));

	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));

	fresh_data(self->data);
	memcpy(target + PLACE(2), self->data, DATA_LENGTH);
	EXPECT_EQ(0, device_sees(&self->mirror, TARGET, PLACE(2)));
	EXPECT_TRUE(same(at(&self->mirror, CHECK, 0), self->data));
	EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));

	munmap(elsewhere, page_size());
}

TEST_F(mirror, may_only_read_after_mprotect)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	struct work work = { .mirror = &self->mirror, .page = TARGET };

	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	EXPECT_EQ(0, mprotect(target, page_size(), PROT_READ));
	EXPECT_TRUE(same(target, self->data));
	EXPECT_EQ(0, end_work(&work));

	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(untouched(target + PLACE(1)));
	EXPECT_EQ(0, device_sees(&self->mirror, TARGET, PLACE(0)));
	EXPECT_TRUE(same(at(&self->mirror, CHECK, 0), self->data));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(untouched(target + PLACE(1)));

	EXPECT_EQ(0, mprotect(target, page_size(), PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
}

TEST_F(mirror, may_do_nothing_after_mprotect)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct work work = { .mirror = &self->mirror, .page = TARGET };

	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	EXPECT_EQ(0, mprotect(target, page_size(), PROT_NONE));
	EXPECT_TRUE(same(elsewhere, self->data));
	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_EQ(EFAULT, device_reads(&self->mirror, TARGET, PLACE(0)));
	EXPECT_TRUE(untouched(elsewhere + PLACE(1)));

	EXPECT_EQ(0, mprotect(target, page_size(), PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));

	munmap(elsewhere, page_size());
}

/* Steps of a test with a child. */
enum {
	CHILD_IS_READY = 1,
	PARENT_IS_DONE,
};

/* Exit status of a child. */
#define CHILD_SAW_NOTHING	0
#define CHILD_SAW_DATA		1
#define CHILD_GAVE_UP		2

TEST_F(mirror, follows_the_parent_through_fork)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	unsigned char *second = at(&self->mirror, SECOND, 0);
	unsigned char *third = at(&self->mirror, THIRD, 0);
	struct stage *stage = open_stage();
	unsigned char data[DATA_LENGTH];
	struct work work = { .mirror = &self->mirror, .page = TARGET };
	pid_t child;

	ASSERT_NE(MAP_FAILED, stage);
	ASSERT_EQ(0, device_reads(&self->mirror, THIRD, 0));
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	child = fork();
	if (!child) {
		memset(second, 0, page_size());
		stage->step = CHILD_IS_READY;
		if (!wait_for_step(stage, PARENT_IS_DONE))
			_exit(CHILD_GAVE_UP);
		/* The transfer before the fork is there, and nothing else. */
		_exit(same(target, self->data) &&
		      filled_with(target + DATA_LENGTH, UNTOUCHED,
				  page_size() - DATA_LENGTH) &&
		      filled_with(second, 0, page_size()) &&
		      filled_with(third, UNTOUCHED, page_size()) ?
		      CHILD_SAW_NOTHING : CHILD_SAW_DATA);
	}
	ASSERT_GT(child, 0);
	/* The child has a copy, so the original has to be complete. */
	EXPECT_TRUE(same(target, self->data));
	EXPECT_EQ(0, end_work(&work));
	EXPECT_TRUE(wait_for_step(stage, CHILD_IS_READY));

	/* The device is the first to write to the page after the fork. */
	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));

	/* The child is. */
	EXPECT_EQ(0, device_writes(&self->mirror, SECOND, PLACE(1)));
	EXPECT_TRUE(same(second + PLACE(1), self->data));
	EXPECT_TRUE(untouched(second));

	/* The parent is, after the device has read the page that is still shared. */
	EXPECT_EQ(0, device_reads(&self->mirror, THIRD, 0));
	fresh_data(data);
	memcpy(third + PLACE(2), data, DATA_LENGTH);
	EXPECT_EQ(0, device_sees(&self->mirror, THIRD, PLACE(2)));
	EXPECT_TRUE(same(at(&self->mirror, CHECK, 0), data));

	stage->step = PARENT_IS_DONE;
	EXPECT_EQ(CHILD_SAW_NOTHING, reap(child));
	munmap(stage, sizeof(*stage));
}

/* Which node a page is on; negative if that cannot be told. */
static int node_of(void *page)
{
	int status = -1;

	if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0))
		return -1;
	return status;
}

static int migrate(void *page, int node)
{
	int status = -1;

	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, MPOL_MF_MOVE))
		return -1;
	return status;
}

TEST_F(mirror, follows_migration_to_another_node)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	struct work work = { .mirror = &self->mirror, .page = TARGET };
	char nodes[64];
	__u64 phys;
	int node;

	read_file(NODES_ONLINE, nodes, sizeof(nodes));
	if (strncmp(nodes, "0-", 2) && strncmp(nodes, "0,", 2))
		SKIP(return, "one NUMA node; numa=fake=2 makes two of it");
	phys = physical_address(target);
	node = node_of(target);
	ASSERT_TRUE(phys != 0);
	if (node < 0)
		SKIP(return, "the kernel does not tell nor choose the node of a page");
	node = node ? 0 : atoi(nodes + 2);

	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));
	ASSERT_EQ(node, migrate(target, node));
	EXPECT_TRUE(same(target, self->data));
	EXPECT_EQ(0, end_work(&work));
	ASSERT_NE(phys, physical_address(target));

	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	EXPECT_TRUE(untouched(target + PLACE(2)));
}

/* The size of a huge page; 0 if there are none. */
static size_t huge_page_size(void)
{
	long long size = read_number(HUGE_PAGE_SIZE, NULL);

	return size > 0 ? size : 0;
}

/* Small pages that could be a huge one; the mapping has twice that size. */
static unsigned char *map_small_pages(size_t huge, unsigned char **begin)
{
	unsigned char *area;

	area = map_pages(2 * huge / page_size());
	if (area == MAP_FAILED)
		return area;
	*begin = (void *)(((uintptr_t)area + huge - 1) & ~(huge - 1));
	madvise(*begin, huge, MADV_NOHUGEPAGE);
	memset(*begin, UNTOUCHED, huge);
	return area;
}

/* Return 0 or an errno. */
static int collapse(void *begin, size_t huge)
{
	unsigned int i;

	/* Not earlier: khugepaged may be awake, and do it at once. */
	madvise(begin, huge, MADV_HUGEPAGE);
	/* Somebody may be looking at one of the pages just now. */
	for (i = 0; i < 100; i++) {
		if (!madvise(begin, huge, MADV_COLLAPSE))
			return 0;
		if (errno != EAGAIN && errno != EBUSY)
			return errno;
		usleep(1000);
	}
	return errno;
}

static bool is_huge(const unsigned char *begin, size_t huge)
{
	__u64 phys = physical_address(begin);

	return phys && !(phys & (huge - 1)) &&
	       physical_address(begin + huge - page_size()) == phys + huge - page_size();
}

/* A small range amidst what becomes a huge page. */
#define HUGE_OFFSET	(100 * page_size())

TEST_F(mirror, follows_a_collapse_into_a_huge_page)
{
	struct mirror inside = { .fd = self->mirror.fd };
	unsigned char *area, *begin, *target;
	size_t huge = huge_page_size();
	struct work work = { .mirror = &inside, .page = TARGET };
	__u64 phys;
	int error;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	area = map_small_pages(huge, &begin);
	ASSERT_NE(MAP_FAILED, area);
	inside.memory = begin + HUGE_OFFSET;
	ASSERT_EQ(0, map_mirror(&inside, NR_PAGES));
	target = at(&inside, TARGET, 0);
	phys = physical_address(target);

	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));
	error = collapse(begin, huge);
	EXPECT_TRUE(same(target, self->data));
	EXPECT_EQ(0, end_work(&work));
	if (error == EINVAL || error == ENOMEM)
		SKIP(goto unmap, "no huge page to be had: %s", strerror(error));
	ASSERT_EQ(0, error);
	ASSERT_TRUE(is_huge(begin, huge));
	ASSERT_NE(phys, physical_address(target));

	EXPECT_EQ(0, device_writes(&inside, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	EXPECT_TRUE(untouched(target + PLACE(2)));

unmap:
	munmap(area, 2 * huge);
}

TEST_F(mirror, follows_the_split_of_a_huge_page)
{
	struct mirror inside = { .fd = self->mirror.fd };
	unsigned char *area, *begin, *target;
	size_t huge = huge_page_size();
	struct work work = { .mirror = &inside, .page = TARGET };
	int error;

	if (!huge)
		SKIP(return, "no transparent huge pages");
	area = map_small_pages(huge, &begin);
	ASSERT_NE(MAP_FAILED, area);
	error = collapse(begin, huge);
	if (error == EINVAL || error == ENOMEM)
		SKIP(goto unmap, "no huge page to be had: %s", strerror(error));
	ASSERT_EQ(0, error);
	ASSERT_TRUE(is_huge(begin, huge));
	inside.memory = begin + HUGE_OFFSET;
	ASSERT_EQ(0, map_mirror(&inside, NR_PAGES));
	target = at(&inside, TARGET, 0);
	ASSERT_EQ(0, device_reads(&inside, SECOND, 0));

	/* Take one page out of it, not the one that the device is at. */
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));
	ASSERT_EQ(0, madvise(at(&inside, SECOND, 0), page_size(), MADV_DONTNEED));
	EXPECT_EQ(0, end_work(&work));
	EXPECT_TRUE(same(target, self->data));
	EXPECT_EQ(0, device_writes(&inside, SECOND, PLACE(1)));
	EXPECT_TRUE(same(at(&inside, SECOND, PLACE(1)), self->data));
	EXPECT_TRUE(filled_with(at(&inside, SECOND, 0), 0, PLACE(1)));

	ASSERT_EQ(0, mprotect(at(&inside, THIRD, 0), page_size(), PROT_READ));
	EXPECT_EQ(EFAULT, device_writes(&inside, THIRD, 0));
	EXPECT_TRUE(untouched(at(&inside, THIRD, 0)));
	EXPECT_EQ(0, device_writes(&inside, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	EXPECT_TRUE(untouched(at(&inside, NR_PAGES, 0)));

unmap:
	munmap(area, 2 * huge);
}

TEST_F(mirror, reads_zeros_after_madv_dontneed)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	struct work work = { .mirror = &self->mirror, .page = TARGET };

	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	EXPECT_EQ(0, madvise(target, page_size(), MADV_DONTNEED));
	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(0, device_sees(&self->mirror, TARGET, PLACE(0)));
	EXPECT_TRUE(filled_with(at(&self->mirror, CHECK, 0), 0, DATA_LENGTH));
	EXPECT_TRUE(filled_with(target, 0, page_size()));
}

/* A mirror is one of addresses, not of the memory that happens to be there. */
TEST_F(mirror, stays_where_it_is_at_mremap)
{
	unsigned char *target = at(&self->mirror, TARGET, 0), *moved;
	struct work work = { .mirror = &self->mirror, .page = TARGET };

	moved = map_pages(1);
	ASSERT_NE(MAP_FAILED, moved);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	ASSERT_EQ(moved, mremap(target, page_size(), page_size(),
				MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	EXPECT_TRUE(same(moved, self->data));
	memset(moved, UNTOUCHED, page_size());
	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, 0));
	EXPECT_EQ(EFAULT, device_reads(&self->mirror, TARGET, 0));
	EXPECT_TRUE(filled_with(moved, UNTOUCHED, page_size()));

	ASSERT_EQ(target, mremap(moved, page_size(), page_size(),
				 MREMAP_MAYMOVE | MREMAP_FIXED, target));
	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
}

/* The process would get a SIGBUS; the device gets an error, and the process nothing. */
TEST_F(mirror, loses_what_is_cut_off_a_file)
{
	struct work work = { .mirror = &self->mirror, .page = TARGET };
	unsigned char seen[DATA_LENGTH], *target = at(&self->mirror, TARGET, 0);
	int memfd;

	memfd = memfd_create("dma_mirror", MFD_CLOEXEC);
	if (memfd < 0)
		SKIP(return, "no memfd_create(): %s", strerror(errno));
	ASSERT_EQ(0, ftruncate(memfd, page_size()));
	ASSERT_EQ(target, mmap(target, page_size(), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, memfd, 0));
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	EXPECT_EQ(0, ftruncate(memfd, 0));
	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(0)));
	EXPECT_EQ(EFAULT, device_reads(&self->mirror, TARGET, PLACE(0)));

	/* There is memory again, but not what was there. */
	EXPECT_EQ(0, ftruncate(memfd, page_size()));
	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_EQ(DATA_LENGTH, pread(memfd, seen, DATA_LENGTH, PLACE(1)));
	EXPECT_TRUE(same(seen, self->data));
	EXPECT_TRUE(filled_with(target, 0, PLACE(1)));

	close(memfd);
}

/* Changes do not hold up the device for good, nor the device the changes. */
TEST_F(mirror, keeps_working_while_pages_come_and_go)
{
	struct work work = { .mirror = &self->mirror, .page = TARGET };
	unsigned char *target = at(&self->mirror, TARGET, 0);
	unsigned int changes = 0, round;
	int error;

	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	/* With fewer changes this proves nothing. */
	for (round = 0; changes < 3 && round < ATTEMPTS; round++) {
		ASSERT_TRUE(begin_work(&work));
		while (!work.done) {
			if (changes++ % 2)
				error = madvise(target, page_size(), MADV_DONTNEED);
			else
				error = replace_page(target) != target;
			ASSERT_EQ(0, error);
			usleep(500);
		}
		EXPECT_EQ(0, end_work(&work));
	}
	EXPECT_GE(changes, 3U);

	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, 0));
	EXPECT_TRUE(same(target, self->data));
}

/*
 * Changes between the lookup of a page and the transfer, which has to wait because
 * the device is busy elsewhere.
 */

FIXTURE(lookup)
{
	struct usage before;
	struct mirror mirror;
	struct mirror pinned;
	struct work work;
	struct work pinned_work;
	unsigned char data[DATA_LENGTH];
};

FIXTURE_SETUP(lookup)
{
	const char *reason;
	int error;

	self->before = usage_now();
	self->mirror.fd = open_device(&reason);
	if (self->mirror.fd < 0)
		SKIP(return, "%s", reason);
	reason = why_refused(WIDE_BITS);
	if (reason)
		SKIP(return, "%s", reason);

	self->mirror.memory = map_pages(NR_PAGES);
	ASSERT_NE(MAP_FAILED, self->mirror.memory);
	error = map_mirror(&self->mirror, NR_PAGES);
	if (error == ENOTTY)
		SKIP(return, "the kernel has no HMM");
	ASSERT_EQ(0, error);
	self->work = (struct work){
		.mirror = &self->mirror, .page = TARGET, .place = PLACE(1),
	};

	/* What keeps the device busy must not make changes wait. */
	self->pinned.fd = self->mirror.fd;
	self->pinned.memory = map_pages(1);
	ASSERT_NE(MAP_FAILED, self->pinned.memory);
	ASSERT_EQ(0, pin_page(&self->pinned));
	self->pinned_work = (struct work){ .mirror = &self->pinned };

	srandom(getpid());
	fresh_data(self->data);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
}

FIXTURE_TEARDOWN(lookup)
{
	close(self->mirror.fd);
	munmap(self->mirror.memory, NR_PAGES * page_size());
	munmap(self->pinned.memory, page_size());
	EXPECT_NOTHING_LEAKED(self->before);
}

/*
 * Each of these is over only when the change came in time: while the device was still
 * busy elsewhere.
 */

TEST_F(lookup, does_not_outlive_the_memory)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	bool in_time = false;
	unsigned int i;

	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		elsewhere = share_page(target);
		ASSERT_NE(MAP_FAILED, elsewhere);
		if (!begin_to_wait(&self->work, &self->pinned_work))
			continue;

		ASSERT_EQ(target, replace_page(target));
		in_time = !self->pinned_work.done;
		EXPECT_EQ(0, end_work(&self->pinned_work));
		EXPECT_EQ(0, end_work(&self->work));
		if (!in_time)
			continue;
		EXPECT_TRUE(same(target + PLACE(1), self->data));
		EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));
	}
	EXPECT_TRUE(in_time);
}

TEST_F(lookup, does_not_outlive_the_right_to_write)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	bool in_time = false;
	unsigned int i;
	int error;

	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		ASSERT_EQ(target, replace_page(target));
		if (!begin_to_wait(&self->work, &self->pinned_work))
			continue;

		EXPECT_EQ(0, mprotect(target, page_size(), PROT_READ));
		in_time = !self->pinned_work.done;
		EXPECT_EQ(0, end_work(&self->pinned_work));
		error = end_work(&self->work);
		if (!in_time)
			continue;
		EXPECT_EQ(EFAULT, error);
		EXPECT_TRUE(filled_with(target, 0, page_size()));
	}
	EXPECT_TRUE(in_time);
}

TEST_F(lookup, does_not_outlive_fork)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	struct stage *stage = open_stage();
	bool in_time = false;
	unsigned int i;
	pid_t child;
	int status;

	ASSERT_NE(MAP_FAILED, stage);
	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		ASSERT_EQ(target, replace_page(target));
		if (!begin_to_wait(&self->work, &self->pinned_work))
			continue;

		stage->step = 0;
		child = fork();
		if (!child) {
			if (!wait_for_step(stage, PARENT_IS_DONE))
				_exit(CHILD_GAVE_UP);
			_exit(filled_with(target, 0, page_size()) ?
			      CHILD_SAW_NOTHING : CHILD_SAW_DATA);
		}
		in_time = !self->pinned_work.done;
		ASSERT_GT(child, 0);
		EXPECT_EQ(0, end_work(&self->pinned_work));
		EXPECT_EQ(0, end_work(&self->work));
		stage->step = PARENT_IS_DONE;
		status = reap(child);
		if (!in_time)
			continue;
		EXPECT_TRUE(same(target + PLACE(1), self->data));
		EXPECT_EQ(CHILD_SAW_NOTHING, status);
	}
	EXPECT_TRUE(in_time);
	munmap(stage, sizeof(*stage));
}

/* Processes that come and go, and files that stay */

/* Have a child mirror a page of its own, with a file that it shares with its parent. */
static pid_t fork_with_mirror(struct mirror *child_mirror, struct stage *stage)
{
	pid_t child = fork();

	if (child) {
		if (child > 0 && wait_for_step(stage, CHILD_IS_READY))
			child_mirror->handle = stage->handle;
		return child;
	}

	if (map_mirror(child_mirror, 1))
		_exit(CHILD_GAVE_UP);
	stage->handle = child_mirror->handle;
	stage->step = CHILD_IS_READY;
	if (!wait_for_step(stage, PARENT_IS_DONE))
		_exit(CHILD_GAVE_UP);
	_exit(filled_with(child_mirror->memory, UNTOUCHED, page_size()) ?
	      CHILD_SAW_NOTHING : CHILD_SAW_DATA);
}

TEST_F(mirror, belongs_to_the_process_that_made_it)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	struct mirror child_mirror = { .fd = self->mirror.fd, .memory = target };
	struct stage *stage = open_stage();
	pid_t child;

	ASSERT_NE(MAP_FAILED, stage);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	child = fork_with_mirror(&child_mirror, stage);
	ASSERT_GT(child, 0);
	ASSERT_TRUE(child_mirror.handle != 0);

	/* At an address at which the parent has memory too. */
	EXPECT_EQ(0, device_writes(&child_mirror, 0, PLACE(1)));
	EXPECT_TRUE(filled_with(target, UNTOUCHED, page_size()));
	stage->step = PARENT_IS_DONE;
	EXPECT_EQ(CHILD_SAW_DATA, reap(child));

	EXPECT_EQ(EFAULT, device_writes(&child_mirror, 0, PLACE(1)));
	EXPECT_EQ(EFAULT, device_reads(&child_mirror, 0, PLACE(1)));
	EXPECT_TRUE(filled_with(target, UNTOUCHED, page_size()));
	EXPECT_EQ(0, unmap_memory(child_mirror.fd, child_mirror.handle));
	munmap(stage, sizeof(*stage));
}

TEST_F(mirror, ends_with_a_process_that_is_killed)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct mirror child_mirror = { .fd = self->mirror.fd, .memory = target };
	struct stage *stage = open_stage();
	struct work work = { .mirror = &child_mirror };
	pid_t child;

	ASSERT_NE(MAP_FAILED, stage);
	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	child = fork_with_mirror(&child_mirror, stage);
	ASSERT_GT(child, 0);
	ASSERT_TRUE(child_mirror.handle != 0);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	EXPECT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(-1, reap(child));
	/* This is what is left of its memory. */
	EXPECT_TRUE(same(elsewhere, self->data));
	memset(elsewhere, UNTOUCHED, page_size());
	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(EFAULT, device_writes(&child_mirror, 0, PLACE(0)));
	EXPECT_EQ(EFAULT, device_reads(&child_mirror, 0, PLACE(0)));
	EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));

	EXPECT_EQ(0, unmap_memory(child_mirror.fd, child_mirror.handle));
	munmap(elsewhere, page_size());
	munmap(stage, sizeof(*stage));
}

TEST_F(mirror, leaves_nothing_when_killed_at_work)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct mirror child_mirror = { .memory = target };
	struct stage *stage = open_stage();
	char state = '\0';
	unsigned int i;
	pid_t child;

	ASSERT_NE(MAP_FAILED, stage);
	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	child = fork();
	if (!child) {
		close(self->mirror.fd);
		child_mirror.fd = open_test_device("edu_dma", 0);
		if (child_mirror.fd < 0 || map_mirror(&child_mirror, 1))
			_exit(CHILD_GAVE_UP);
		stage->step = CHILD_IS_READY;
		while (!device_writes(&child_mirror, 0, 0))
			;
		_exit(CHILD_GAVE_UP);
	}
	ASSERT_GT(child, 0);
	ASSERT_TRUE(wait_for_step(stage, CHILD_IS_READY));
	for (i = 0; i < PATIENCE_MS && state != STATE_WAITS; i++) {
		usleep(1000);
		state = thread_state(child, child);
	}
	EXPECT_EQ(STATE_WAITS, state);

	EXPECT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(-1, reap(child));
	memset(elsewhere, UNTOUCHED, page_size());
	/* The device takes its turns, so what it was at is over then. */
	EXPECT_EQ(0, device_writes(&self->mirror, CHECK, 0));
	EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));

	munmap(elsewhere, page_size());
	munmap(stage, sizeof(*stage));
}

/* Several mirrors of one range */

TEST_F(mirror, shares_memory_with_another_mirror)
{
	struct mirror other = self->mirror;
	unsigned char *target = at(&self->mirror, TARGET, 0);

	if (!mirrors_may_overlap())
		SKIP(return, "this kernel warns of mappings of one page at a time");
	ASSERT_EQ(0, map_mirror(&other, NR_PAGES));

	memcpy(target, self->data, DATA_LENGTH);
	EXPECT_EQ(0, device_reads(&self->mirror, TARGET, PLACE(0)));
	EXPECT_EQ(0, device_writes(&other, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));

	/* What one of them is told, the other one is told too. */
	ASSERT_EQ(target, replace_page(target));
	EXPECT_EQ(0, device_writes(&self->mirror, TARGET, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	EXPECT_EQ(0, device_writes(&other, TARGET, PLACE(2)));
	EXPECT_TRUE(same(target + PLACE(2), self->data));
}

TEST_F(mirror, shares_memory_with_another_device)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct mirror other = { .memory = self->mirror.memory };
	struct work work = { .mirror = &self->mirror, .page = TARGET };
	struct work other_work = {
		.mirror = &other, .page = TARGET, .place = PLACE(1),
	};

	other.fd = open_test_device("edu_dma", 1);
	if (other.fd < 0)
		SKIP(return, "no second edu device");
	if (!mirrors_may_overlap())
		SKIP(goto close, "this kernel warns of mappings of one page at a time");
	ASSERT_EQ(0, map_mirror(&other, NR_PAGES));
	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);

	/* Both get the same from the one page, and write it to the other one. */
	memcpy(at(&self->mirror, SOURCE, 0), self->data, DATA_LENGTH);
	ASSERT_EQ(0, device_reads(&other, SOURCE, 0));
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));
	ASSERT_TRUE(begin_work(&other_work));

	EXPECT_EQ(0, munmap(target, page_size()));
	EXPECT_TRUE(same(elsewhere, self->data));
	EXPECT_TRUE(same(elsewhere + PLACE(1), self->data));
	memset(elsewhere, UNTOUCHED, page_size());
	EXPECT_EQ(0, end_work(&work));
	EXPECT_EQ(0, end_work(&other_work));
	EXPECT_EQ(EFAULT, device_writes(&self->mirror, TARGET, PLACE(0)));
	EXPECT_EQ(EFAULT, device_writes(&other, TARGET, PLACE(1)));
	EXPECT_TRUE(filled_with(elsewhere, UNTOUCHED, page_size()));

	munmap(elsewhere, page_size());
close:
	close(other.fd);
}

/* Pinned memory, which is just the other way round: the device keeps it. */

TEST_F(mirror, pinned_memory_stays_with_the_parent_at_fork)
{
	unsigned char *target = at(&self->mirror, TARGET, 0);
	struct mirror pinned = { .fd = self->mirror.fd, .memory = target };
	struct stage *stage = open_stage();
	unsigned char data[DATA_LENGTH];
	struct work work = { .mirror = &pinned };
	pid_t child;
	__u64 phys;

	ASSERT_NE(MAP_FAILED, stage);
	ASSERT_EQ(0, pin_page(&pinned));
	phys = physical_address(target);
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	child = fork();
	if (!child) {
		if (!wait_for_step(stage, PARENT_IS_DONE))
			_exit(CHILD_GAVE_UP);
		_exit(filled_with(target + DATA_LENGTH, UNTOUCHED,
				  page_size() - DATA_LENGTH) ?
		      CHILD_SAW_NOTHING : CHILD_SAW_DATA);
	}
	ASSERT_GT(child, 0);
	EXPECT_EQ(0, end_work(&work));
	EXPECT_TRUE(same(target, self->data));

	EXPECT_EQ(0, device_writes(&pinned, 0, PLACE(1)));
	EXPECT_TRUE(same(target + PLACE(1), self->data));
	fresh_data(data);
	memcpy(target + PLACE(2), data, DATA_LENGTH);
	EXPECT_EQ(0, device_reads(&pinned, 0, PLACE(2)));
	EXPECT_EQ(0, device_writes(&self->mirror, CHECK, 0));
	EXPECT_TRUE(same(at(&self->mirror, CHECK, 0), data));
	EXPECT_EQ(phys, physical_address(target));

	stage->step = PARENT_IS_DONE;
	EXPECT_EQ(CHILD_SAW_NOTHING, reap(child));
	munmap(stage, sizeof(*stage));
}

TEST_F(mirror, pinned_memory_outlives_munmap)
{
	unsigned char *elsewhere, *target = at(&self->mirror, TARGET, 0);
	struct mirror pinned = { .fd = self->mirror.fd, .memory = target };
	struct work work = { .mirror = &pinned };

	elsewhere = share_page(target);
	ASSERT_NE(MAP_FAILED, elsewhere);
	ASSERT_EQ(0, pin_page(&pinned));
	ASSERT_EQ(0, give_device(&self->mirror, self->data));
	ASSERT_TRUE(begin_work(&work));

	ASSERT_EQ(target, replace_page(target));
	EXPECT_EQ(0, end_work(&work));
	EXPECT_TRUE(same(elsewhere, self->data));
	EXPECT_EQ(0, device_writes(&pinned, 0, PLACE(1)));
	EXPECT_TRUE(same(elsewhere + PLACE(1), self->data));
	EXPECT_TRUE(filled_with(target, 0, page_size()));

	munmap(elsewhere, page_size());
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for what dma-debug makes of the attributes of a mapping.
 *
 * dma-debug is tested by what it finds: the tests make the mistakes of a
 * driver, through the DMA API, and read the numbers of errors and of entries
 * that dma-debug shows in debugfs. While they do, dma-debug is asked to print
 * nothing, by the same means that a user has.
 *
 * Overlaps are tracked by cacheline, for mappings that the device may write:
 *
 *	cacheline |        one page        |
 *	            first 8    next 8 bytes     two buffers in one cacheline
 *
 * Two messages are expected from this suite, neither of which is an error that
 * dma-debug counts, and both of which come once per boot: the warning, with a
 * backtrace, of many overlapping mappings, and that dma-debug disables itself.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/override.h>
#include <kunit/test.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pgtable.h>
#include <linux/scatterlist.h>
#include <linux/xarray.h>

/* dma-debug keeps what it counts of so much memory in one allocation. */
#define PAGES_ORDER	get_order(XA_CHUNK_SIZE * L1_CACHE_BYTES)

#define LEAK	8	/* mappings of a cacheline, one less than look like a leak */
#define MANY	20
#define LIMIT	255	/* how many plain mappings of a cacheline are counted */
#define MORE	(LIMIT + 2)

struct dma_debug_ctx {
	struct device *dev;
	struct page *page;
	struct kunit_dma_usage before;
	u32 *num_errors;
	u32 shown_errors;
	struct kmsg_dump_iter log;
	char line[256];
};

/* One of several mappings of the same page. */
struct mapped {
	dma_addr_t addr;
	size_t size;
	enum dma_data_direction dir;
	unsigned long attrs;
};

static struct mapped map_part(struct kunit *test, size_t offset, size_t size,
			      enum dma_data_direction dir, unsigned long attrs)
{
	struct dma_debug_ctx *ctx = test->priv;
	struct mapped map = { .size = size, .dir = dir, .attrs = attrs };

	map.addr = dma_map_page_attrs(ctx->dev, ctx->page, offset, size, dir,
				      attrs);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(ctx->dev, map.addr));

	return map;
}

static struct mapped map_page(struct kunit *test, unsigned long attrs)
{
	return map_part(test, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, attrs);
}

static void unmap_with(struct kunit *test, const struct mapped *map,
		       unsigned long attrs)
{
	struct dma_debug_ctx *ctx = test->priv;

	dma_unmap_page_attrs(ctx->dev, map->addr, map->size, map->dir, attrs);
}

static void unmap(struct kunit *test, const struct mapped *map)
{
	unmap_with(test, map, map->attrs);
}

/* How many errors dma-debug has found since the last time. */
static u32 new_errors(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	u32 errors = kunit_dma_usage(ctx->dev).errors;
	u32 found = errors - ctx->before.errors;

	ctx->before.errors = errors;

	return found;
}

/* Overlapping mappings */

/* Where caches are always coherent, there may be nothing to report. */
static void need_reports_of_overlaps(struct kunit *test)
{
	struct mapped first = map_page(test, 0);
	struct mapped second = map_page(test, 0);

	unmap(test, &first);
	unmap(test, &second);
	if (!new_errors(test) && dma_get_cache_alignment() < L1_CACHE_BYTES)
		kunit_skip(test, "no overlap is reported where caches are coherent");
}

#define IGNORE		DMA_ATTR_DEBUGGING_IGNORE_CACHELINES
#define COHERENT	DMA_ATTR_REQUIRE_COHERENT

static const struct overlap_param {
	const char *desc;
	unsigned long first;
	unsigned long second;
	u32 errors;
} overlap_params[] = {
	{ "both coherent", COHERENT, COHERENT, 0 },
	{ "both ignored", IGNORE, IGNORE, 0 },
	{ "coherent, then ignored", COHERENT, IGNORE, 0 },
	{ "ignored, then coherent", IGNORE, COHERENT, 0 },
	{ "both attributes", COHERENT | IGNORE, COHERENT | IGNORE, 0 },
	{ "neither", 0, 0, 1 },
	{ "coherent, then plain", COHERENT, 0, 1 },
	{ "plain, then coherent", 0, COHERENT, 1 },
	{ "ignored, then plain", IGNORE, 0, 1 },
	{ "plain, then ignored", 0, IGNORE, 1 },
	{ "weak ordering is no excuse", DMA_ATTR_WEAK_ORDERING,
	  DMA_ATTR_WEAK_ORDERING, 1 },
};

KUNIT_ARRAY_PARAM_DESC(overlap, overlap_params, desc);

static void reports_overlap_unless_all_are_exempt(struct kunit *test)
{
	const struct overlap_param *param = test->param_value;
	struct mapped first, second;

	if (param->errors)
		need_reports_of_overlaps(test);

	first = map_page(test, param->first);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	second = map_page(test, param->second);
	KUNIT_EXPECT_EQ(test, new_errors(test), param->errors);
	unmap(test, &first);
	unmap(test, &second);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

static void reports_overlap_of_neighbours_in_cacheline(struct kunit *test)
{
	const struct overlap_param *param = test->param_value;
	struct mapped first, second;

	if (param->errors)
		need_reports_of_overlaps(test);

	first = map_part(test, 0, 8, DMA_FROM_DEVICE, param->first);
	second = map_part(test, 8, 8, DMA_FROM_DEVICE, param->second);
	KUNIT_EXPECT_EQ(test, new_errors(test), param->errors);
	unmap(test, &second);
	unmap(test, &first);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

static void reports_overlap_of_scatterlists(struct kunit *test)
{
	const struct overlap_param *param = test->param_value;
	struct dma_debug_ctx *ctx = test->priv;
	struct scatterlist first, second;

	if (param->errors)
		need_reports_of_overlaps(test);

	sg_init_table(&first, 1);
	sg_set_page(&first, ctx->page, PAGE_SIZE, 0);
	sg_init_table(&second, 1);
	sg_set_page(&second, ctx->page, PAGE_SIZE, 0);

	KUNIT_ASSERT_EQ(test, 1, dma_map_sg_attrs(ctx->dev, &first, 1,
						  DMA_BIDIRECTIONAL,
						  param->first));
	KUNIT_EXPECT_EQ(test, 1, dma_map_sg_attrs(ctx->dev, &second, 1,
						  DMA_BIDIRECTIONAL,
						  param->second));
	KUNIT_EXPECT_EQ(test, new_errors(test), param->errors);
	dma_unmap_sg_attrs(ctx->dev, &first, 1, DMA_BIDIRECTIONAL, param->first);
	dma_unmap_sg_attrs(ctx->dev, &second, 1, DMA_BIDIRECTIONAL,
			   param->second);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

/* What the device only reads was never reported. */
static void does_not_report_overlap_that_device_reads(struct kunit *test)
{
	const struct overlap_param *param = test->param_value;
	struct mapped first, second;

	first = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, param->first);
	second = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, param->second);
	unmap(test, &second);
	unmap(test, &first);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

KUNIT_DEFINE_ACTION_WRAPPER(count_as_ram, ClearPageReserved, struct page *);

/* dma-debug reports MMIO that is RAM, unless it is reserved. Nobody uses it. */
static phys_addr_t use_page_as_mmio(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;

	SetPageReserved(ctx->page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, count_as_ram,
							   ctx->page));
	return page_to_phys(ctx->page);
}

static const struct way_param {
	const char *desc;
	bool scatterlist;
} way_params[] = {
	{ "page", false },
	{ "scatterlist", true },
};

KUNIT_ARRAY_PARAM_DESC(way, way_params, desc);

/*
 * It may be read-only data of the kernel, and is what a process has where it has
 * not written anything.
 */
static void does_not_report_the_zero_page(struct kunit *test)
{
	const struct way_param *param = test->param_value;
	struct dma_debug_ctx *ctx = test->priv;
	struct page *page = ZERO_PAGE(0);
	struct scatterlist sg;
	dma_addr_t addr;

	if (param->scatterlist) {
		sg_init_table(&sg, 1);
		sg_set_page(&sg, page, PAGE_SIZE, 0);
		KUNIT_ASSERT_EQ(test, 1, dma_map_sg(ctx->dev, &sg, 1,
						    DMA_TO_DEVICE));
		dma_unmap_sg(ctx->dev, &sg, 1, DMA_TO_DEVICE);
	} else {
		addr = dma_map_page(ctx->dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
		KUNIT_ASSERT_FALSE(test, dma_mapping_error(ctx->dev, addr));
		dma_unmap_page(ctx->dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
	}
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

/* No CPU caches MMIO. */
static void does_not_report_overlap_of_mmio(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	phys_addr_t mmio = use_page_as_mmio(test);
	dma_addr_t addr[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(addr); i++) {
		addr[i] = dma_map_phys(ctx->dev, mmio, PAGE_SIZE,
				       DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
		KUNIT_ASSERT_FALSE(test, dma_mapping_error(ctx->dev, addr[i]));
	}
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);

	for (i = 0; i < ARRAY_SIZE(addr); i++)
		dma_unmap_phys(ctx->dev, addr[i], PAGE_SIZE, DMA_BIDIRECTIONAL,
			       DMA_ATTR_MMIO);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

static const struct uncounted_param {
	const char *desc;
	enum dma_data_direction dir;
	bool mmio;
} uncounted_params[] = {
	{ "what the device only reads", DMA_TO_DEVICE, false },
	{ "MMIO", DMA_BIDIRECTIONAL, true },
};

KUNIT_ARRAY_PARAM_DESC(uncounted, uncounted_params, desc);

/* What was not counted when it was mapped is not when it is unmapped. */
static void unmapping_what_is_not_counted_takes_nothing_back(struct kunit *test)
{
	const struct uncounted_param *param = test->param_value;
	struct dma_debug_ctx *ctx = test->priv;
	unsigned long attrs = param->mmio ? DMA_ATTR_MMIO : 0;
	phys_addr_t phys = page_to_phys(ctx->page);
	struct mapped first, second;
	dma_addr_t addr;

	need_reports_of_overlaps(test);
	if (param->mmio)
		phys = use_page_as_mmio(test);

	first = map_page(test, 0);
	addr = dma_map_phys(ctx->dev, phys, PAGE_SIZE, param->dir, attrs);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(ctx->dev, addr));
	dma_unmap_phys(ctx->dev, addr, PAGE_SIZE, param->dir, attrs);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);

	second = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
	unmap(test, &second);
	unmap(test, &first);
}

/*
 * A mapping for which there is no memory to count it is not taken back when it is
 * unmapped, either. dma-debug disables itself, which nothing but a boot undoes; to
 * test what comes then, and for the sake of all other tests, this one does.
 */
static void disables_itself_without_memory_to_count(struct kunit *test)
{
	static const unsigned long attrs[] = { COHERENT, 0 };
	bool *disabled = kunit_dma_debug_value("disabled");
	struct dma_debug_ctx *ctx = test->priv;
	struct kunit_calls *calls;
	struct mapped plain;
	dma_addr_t addr;
	int i;

	calls = kunit_kzalloc(test, sizeof(*calls), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, calls);
	kunit_override_every(test, calls, "should_failslab", -ENOMEM);

	for (i = 0; i < ARRAY_SIZE(attrs); i++) {
		kunit_begin_calls(calls, 0);
		addr = dma_map_page_attrs(ctx->dev, ctx->page, 0, PAGE_SIZE,
					  DMA_BIDIRECTIONAL, attrs[i]);
		kunit_end_calls(calls);
		KUNIT_EXPECT_TRUE(test, *disabled);
		WRITE_ONCE(*disabled, false);

		KUNIT_ASSERT_FALSE(test, dma_mapping_error(ctx->dev, addr));
		dma_unmap_page_attrs(ctx->dev, addr, PAGE_SIZE,
				     DMA_BIDIRECTIONAL, attrs[i]);
		plain = map_page(test, 0);
		unmap(test, &plain);
		KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	}
}

/* It matters who is there now, not who was there first. */
static void plain_mapping_is_remembered_while_it_lives(struct kunit *test)
{
	struct mapped exempt, plain, other;

	need_reports_of_overlaps(test);

	exempt = map_page(test, COHERENT);
	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);

	/* The first mapping of the cacheline is gone, the plain one is not. */
	unmap(test, &exempt);
	exempt = map_page(test, COHERENT);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);

	unmap(test, &plain);
	other = map_page(test, IGNORE);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);

	unmap(test, &other);
	unmap(test, &exempt);
	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &plain);
}

static void exempt_mapping_is_remembered_while_it_lives(struct kunit *test)
{
	struct mapped first, second, plain;

	need_reports_of_overlaps(test);

	first = map_page(test, COHERENT);
	second = map_page(test, COHERENT);
	unmap(test, &first);

	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
	unmap(test, &plain);
	unmap(test, &second);

	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &plain);
}

static void watch_log(struct dma_debug_ctx *ctx)
{
	kmsg_dump_rewind(&ctx->log);
	ctx->log.cur_seq = ctx->log.next_seq;
}

static void watch_log_since_boot(struct dma_debug_ctx *ctx)
{
	kmsg_dump_rewind(&ctx->log);
}

/* The warning comes once per boot, so ask in the order of the cases. */
static bool has_warned_of_leak(struct dma_debug_ctx *ctx)
{
	size_t len;

	while (kmsg_dump_get_line(&ctx->log, false, ctx->line,
				  sizeof(ctx->line) - 1, &len)) {
		ctx->line[len] = '\0';
		if (strstr(ctx->line, "overlapping mappings of cacheline"))
			return true;
	}

	return false;
}

static void counts_any_number_of_exempt_mappings(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	struct mapped map[MANY], plain;
	int i;

	need_reports_of_overlaps(test);

	watch_log(ctx);
	for (i = 0; i < MANY; i++)
		map[i] = map_page(test, i % 2 ? COHERENT : IGNORE);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	KUNIT_EXPECT_FALSE(test, has_warned_of_leak(ctx));

	/* All but one gone: the count must not have been lost. */
	for (i = 0; i < MANY - 1; i++)
		unmap(test, &map[i]);
	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
	unmap(test, &plain);

	unmap(test, &map[MANY - 1]);
	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &plain);
}

static void warns_of_many_plain_overlaps(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	struct mapped *map, exempt, other, plain;
	bool warned_before;
	int i;

	map = kunit_kcalloc(test, MORE, sizeof(*map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, map);
	need_reports_of_overlaps(test);
	watch_log_since_boot(ctx);
	warned_before = has_warned_of_leak(ctx);

	for (i = 0; i < LEAK; i++)
		map[i] = map_page(test, 0);
	watch_log(ctx);
	/* An exempt one more is not one more that may leak. */
	exempt = map_page(test, COHERENT);
	KUNIT_EXPECT_FALSE(test, has_warned_of_leak(ctx));
	map[i++] = map_page(test, 0);
	KUNIT_EXPECT_TRUE(test, has_warned_of_leak(ctx) || warned_before);
	for (; i < MORE; i++)
		map[i] = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), MORE);
	for (i = 0; i < MORE; i++)
		unmap(test, &map[i]);

	/* The count has ended before it could be taken for more exempt ones. */
	other = map_page(test, IGNORE);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &other);
	unmap(test, &exempt);
	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &plain);
}

static const struct beyond_param {
	const char *desc;
	bool exempt;
} beyond_params[] = {
	{ "plain ones alone", false },
	{ "with an exempt one", true },
};

KUNIT_ARRAY_PARAM_DESC(beyond, beyond_params, desc);

/* Those beyond the limit are not counted when they go, either. */
static void exempt_mapping_outlives_more_plain_ones_than_are_counted(struct kunit *test)
{
	const struct beyond_param *param = test->param_value;
	struct mapped exempt, plain;
	int i;

	need_reports_of_overlaps(test);

	if (param->exempt)
		exempt = map_page(test, COHERENT);
	/* All of them have the same address. */
	for (i = 0; i < LIMIT + 5; i++)
		plain = map_page(test, 0);
	new_errors(test);
	for (i = 0; i < LIMIT + 5; i++)
		unmap(test, &plain);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);

	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), param->exempt);
	unmap(test, &plain);
	if (param->exempt)
		unmap(test, &exempt);

	plain = map_page(test, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &plain);
}

/* Unmapping with other attributes */

static const struct mismatch_param {
	const char *desc;
	unsigned long map;
	unsigned long unmap;
	u32 errors;
} mismatch_params[] = {
	{ "coherent twice", COHERENT, COHERENT, 0 },
	{ "coherent forgotten", COHERENT, 0, 1 },
	{ "coherent invented", 0, COHERENT, 1 },
	{ "neither", 0, 0, 0 },
	{ "coherent forgotten, others kept",
	  COHERENT | DMA_ATTR_WEAK_ORDERING, DMA_ATTR_WEAK_ORDERING, 1 },
	{ "SKIP_CPU_SYNC when mapping", DMA_ATTR_SKIP_CPU_SYNC, 0, 0 },
	{ "SKIP_CPU_SYNC when unmapping", 0, DMA_ATTR_SKIP_CPU_SYNC, 0 },
	{ "IGNORE_CACHELINES forgotten", IGNORE, 0, 0 },
};

KUNIT_ARRAY_PARAM_DESC(mismatch, mismatch_params, desc);

static void reports_unmap_with_other_attributes(struct kunit *test)
{
	const struct mismatch_param *param = test->param_value;
	struct mapped map = map_page(test, param->map);

	unmap_with(test, &map, param->unmap);
	KUNIT_EXPECT_EQ(test, new_errors(test), param->errors);
}

static void reports_unmap_of_scatterlist_with_other_attributes(struct kunit *test)
{
	const struct mismatch_param *param = test->param_value;
	struct dma_debug_ctx *ctx = test->priv;
	struct scatterlist sg;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, ctx->page, PAGE_SIZE, 0);
	KUNIT_ASSERT_EQ(test, 1, dma_map_sg_attrs(ctx->dev, &sg, 1,
						  DMA_BIDIRECTIONAL,
						  param->map));
	dma_unmap_sg_attrs(ctx->dev, &sg, 1, DMA_BIDIRECTIONAL, param->unmap);
	KUNIT_EXPECT_EQ(test, new_errors(test), param->errors);
}

static void reports_mmio_that_is_unmapped_as_ram(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	phys_addr_t mmio = use_page_as_mmio(test);
	dma_addr_t addr;

	addr = dma_map_phys(ctx->dev, mmio, PAGE_SIZE, DMA_TO_DEVICE,
			    DMA_ATTR_MMIO);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(ctx->dev, addr));
	dma_unmap_phys(ctx->dev, addr, PAGE_SIZE, DMA_TO_DEVICE, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
}

/*
 * Without an IOMMU the same page has the same DMA address twice. The device
 * only reads, so that the overlap itself is no error.
 */

static const struct order_param {
	const char *desc;
	unsigned long first;
	unsigned long second;
	bool swap;
} order_params[] = {
	{ "plain first, unmapped in order", 0, COHERENT, false },
	{ "plain first, unmapped in reverse", 0, COHERENT, true },
	{ "coherent first, unmapped in order", COHERENT, 0, false },
	{ "coherent first, unmapped in reverse", COHERENT, 0, true },
};

KUNIT_ARRAY_PARAM_DESC(order, order_params, desc);

static void does_not_confuse_mappings_that_differ_in_attributes(struct kunit *test)
{
	const struct order_param *param = test->param_value;
	struct mapped first, second;

	first = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, param->first);
	second = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, param->second);
	unmap(test, param->swap ? &second : &first);
	unmap(test, param->swap ? &first : &second);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

static const struct size_param {
	const char *desc;
	unsigned long attrs;
	bool swap;
} size_params[] = {
	{ "plain, unmapped in order", 0, false },
	{ "plain, unmapped in reverse", 0, true },
	{ "coherent, unmapped in order", COHERENT, false },
	{ "coherent, unmapped in reverse", COHERENT, true },
};

KUNIT_ARRAY_PARAM_DESC(size, size_params, desc);

static void does_not_confuse_mappings_that_differ_in_size(struct kunit *test)
{
	const struct size_param *param = test->param_value;
	struct mapped first, second;

	first = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, param->attrs);
	second = map_part(test, 0, PAGE_SIZE / 2, DMA_TO_DEVICE, param->attrs);
	unmap(test, param->swap ? &second : &first);
	unmap(test, param->swap ? &first : &second);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

/* A mapping whose size alone differs is found too, and known to be gone. */
static void reports_unmap_with_other_size(struct kunit *test)
{
	struct mapped map = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, 0);

	map.size /= 2;
	unmap(test, &map);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
}

/* Which of the two is meant is not for dma-debug to guess. */
static void unmap_that_fits_neither_mapping_ends_none(struct kunit *test)
{
	struct mapped first, second, neither;

	first = map_part(test, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, IGNORE);
	second = map_part(test, 0, PAGE_SIZE / 2, DMA_BIDIRECTIONAL, IGNORE);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);

	if (first.addr == second.addr) {
		neither = first;
		neither.size = PAGE_SIZE / 4;
		unmap(test, &neither);
		KUNIT_EXPECT_EQ(test, new_errors(test), 1);
	}
	unmap(test, &first);
	unmap(test, &second);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);

	if (first.addr != second.addr)
		kunit_skip(test, "every mapping has an address of its own here");
}

/* One report each, of the attributes, and both mappings are known to be gone. */
static void finds_mapping_whose_attributes_alone_differ(struct kunit *test)
{
	struct mapped first, second;

	first = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, COHERENT);
	second = map_part(test, 0, PAGE_SIZE, DMA_TO_DEVICE, COHERENT);
	unmap_with(test, &first, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
	unmap_with(test, &second, 0);
	KUNIT_EXPECT_EQ(test, new_errors(test), 1);
}

/* Drivers need not sync such a mapping, but may. */
static void sync_has_no_attributes_to_report(struct kunit *test)
{
	const struct mismatch_param *param = test->param_value;
	struct dma_debug_ctx *ctx = test->priv;
	struct mapped map = map_page(test, param->map);

	dma_sync_single_for_cpu(ctx->dev, map.addr, map.size, map.dir);
	dma_sync_single_for_device(ctx->dev, map.addr, map.size, map.dir);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &map);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

/* All mappings of a page have the same address, and each of them may be synced. */
static void sync_finds_its_mapping_among_others(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	struct mapped coherent = map_page(test, COHERENT);
	struct mapped ignored = map_page(test, IGNORE);

	KUNIT_ASSERT_EQ(test, coherent.addr, ignored.addr);
	dma_sync_single_for_cpu(ctx->dev, ignored.addr, ignored.size, ignored.dir);
	dma_sync_single_for_device(ctx->dev, ignored.addr, ignored.size,
				   ignored.dir);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
	unmap(test, &coherent);
	unmap(test, &ignored);
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

/* A refusal is not a mapping. */
static void refusal_leaves_no_entry(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;
	dma_addr_t addr;

	ctx->dev->bus_dma_limit = 1;
	addr = dma_map_page_attrs(ctx->dev, ctx->page, 0, PAGE_SIZE,
				  DMA_BIDIRECTIONAL, COHERENT);
	KUNIT_EXPECT_NE(test, dma_mapping_error(ctx->dev, addr), 0);
	ctx->dev->bus_dma_limit = 0;
	KUNIT_EXPECT_EQ(test, new_errors(test), 0);
}

static void free_page_action(void *page)
{
	__free_pages(page, PAGES_ORDER);
}

static void show_errors_again(void *data)
{
	struct dma_debug_ctx *ctx = data;

	WRITE_ONCE(*ctx->num_errors, ctx->shown_errors);
}

static int dma_debug_init(struct kunit *test)
{
	struct dma_debug_ctx *ctx;
	bool *disabled;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->num_errors = kunit_dma_debug_value("num_errors");
	disabled = kunit_dma_debug_value("disabled");
	if (!ctx->num_errors || *disabled)
		kunit_skip(test, "dma-debug is disabled");

	ctx->dev = kunit_device_register(test, "dma-debug-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dev);
	KUNIT_ASSERT_EQ(test, 0, dma_coerce_mask_and_coherent(ctx->dev,
							      DMA_BIT_MASK(64)));
	kunit_dma_set_coherent(ctx->dev, true);
	kunit_dma_skip_unless_coherent(test, ctx->dev, true);
#ifdef CONFIG_SWIOTLB
	/* Where SWIOTLB bounces small buffers dma-debug reports no overlaps. */
	ctx->dev->dma_io_tlb_mem = NULL;
#endif

	ctx->page = alloc_pages(GFP_KERNEL | __GFP_ZERO, PAGES_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, ctx->page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   free_page_action,
							   ctx->page));

	ctx->shown_errors = *ctx->num_errors;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   show_errors_again,
							   ctx));
	WRITE_ONCE(*ctx->num_errors, 0);
	ctx->before = kunit_dma_usage(ctx->dev);

	return 0;
}

/* Every case unmaps what it has mapped, so that dma-debug has to forget it. */
static void dma_debug_exit(struct kunit *test)
{
	struct dma_debug_ctx *ctx = test->priv;

	if (ctx && ctx->page)
		KUNIT_EXPECT_EQ(test, kunit_dma_usage(ctx->dev).entries,
				ctx->before.entries);
}

static struct kunit_case dma_debug_cases[] = {
	KUNIT_CASE_PARAM(reports_overlap_unless_all_are_exempt, overlap_gen_params),
	KUNIT_CASE_PARAM(reports_overlap_of_neighbours_in_cacheline, overlap_gen_params),
	KUNIT_CASE_PARAM(reports_overlap_of_scatterlists, overlap_gen_params),
	KUNIT_CASE_PARAM(does_not_report_overlap_that_device_reads, overlap_gen_params),
	KUNIT_CASE(does_not_report_overlap_of_mmio),
	KUNIT_CASE_PARAM(does_not_report_the_zero_page, way_gen_params),
	KUNIT_CASE_PARAM(unmapping_what_is_not_counted_takes_nothing_back,
			 uncounted_gen_params),
	KUNIT_CASE(disables_itself_without_memory_to_count),
	KUNIT_CASE(plain_mapping_is_remembered_while_it_lives),
	KUNIT_CASE(exempt_mapping_is_remembered_while_it_lives),
	KUNIT_CASE(counts_any_number_of_exempt_mappings),
	KUNIT_CASE(warns_of_many_plain_overlaps),
	KUNIT_CASE_PARAM(exempt_mapping_outlives_more_plain_ones_than_are_counted,
			 beyond_gen_params),
	KUNIT_CASE_PARAM(reports_unmap_with_other_attributes, mismatch_gen_params),
	KUNIT_CASE_PARAM(reports_unmap_of_scatterlist_with_other_attributes,
			 mismatch_gen_params),
	KUNIT_CASE(reports_mmio_that_is_unmapped_as_ram),
	KUNIT_CASE_PARAM(does_not_confuse_mappings_that_differ_in_attributes,
			 order_gen_params),
	KUNIT_CASE_PARAM(does_not_confuse_mappings_that_differ_in_size,
			 size_gen_params),
	KUNIT_CASE(reports_unmap_with_other_size),
	KUNIT_CASE(unmap_that_fits_neither_mapping_ends_none),
	KUNIT_CASE(finds_mapping_whose_attributes_alone_differ),
	KUNIT_CASE_PARAM(sync_has_no_attributes_to_report, mismatch_gen_params),
	KUNIT_CASE(sync_finds_its_mapping_among_others),
	KUNIT_CASE(refusal_leaves_no_entry),
	{}
};

static struct kunit_suite dma_debug_suite = {
	.name = "dma_debug",
	.init = dma_debug_init,
	.exit = dma_debug_exit,
	.test_cases = dma_debug_cases,
};

kunit_test_suite(dma_debug_suite);

MODULE_DESCRIPTION("KUnit tests for the attributes of mappings in dma-debug");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for DMA_ATTR_REQUIRE_COHERENT on the direct mapping path.
 *
 * Everything that makes the direct mapping bounce a buffer or maintain caches
 * is brought about by what a platform or a driver can really set: the DMA mask,
 * the bus limit, the coherency of the device, a small kmalloc() buffer, and
 * swiotlb=force on the kernel command line. Each is tried twice:
 *
 * - with the attribute the mapping is refused, takes no bounce slot, prints
 *   nothing and is traced;
 * - without the attribute it works as it does on any other kernel. These are
 *   the mirror cases; they also show that the obstacle is real.
 *
 * A machine cannot have every obstacle at once. A case that needs another
 * machine is skipped and says which. Memory above the DMA mask is bounced only
 * if SWIOTLB has its pool below the mask; on x86_64 with 5 GiB of memory the
 * kernel parameter memmap=1792M$256M puts it below 28 bits.
 *
 * A scatterlist has three entries, one page each, and the obstacle applies to
 * the second one whenever it can apply to one page only:
 *
 *	| in place | obstacle | in place |
 *
 * A WARN that comes once per boot can be seen by the first case only that
 * provokes it. Whatever scans the log of a run has to look for the others.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/override.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#define NR_PAGES	3
#define OBSTACLE	1	/* index of the page that stands for the buffer */

/* The ways in which a driver can map a buffer. */
enum interface {
	MAP_PHYS,
	MAP_PAGE,
	MAP_SINGLE,
	MAP_SG,
	MAP_SGTABLE,
};

static const struct interface_param {
	const char *desc;
	enum interface interface;
} interface_params[] = {
	{ "dma_map_phys", MAP_PHYS },
	{ "dma_map_page_attrs", MAP_PAGE },
	{ "dma_map_single_attrs", MAP_SINGLE },
	{ "dma_map_sg_attrs", MAP_SG },
	{ "dma_map_sgtable", MAP_SGTABLE },
};

KUNIT_ARRAY_PARAM_DESC(interface, interface_params, desc);

/* One buffer, and how the attempt to map it ended. */
struct mapping {
	enum interface interface;
	unsigned long attrs;
	void *buf;		/* NULL if the page has no kernel address */
	size_t size;
	phys_addr_t mmio;	/* instead of buf, with DMA_ATTR_MMIO */
	unsigned int entry;	/* of the scatterlist, for the buffer */
	struct sg_table sgt;	/* MAP_SG and MAP_SGTABLE */
	dma_addr_t addr;	/* the others */
	int ret;		/* 0, or what the interface returned instead */
};

/* What the tracepoints and the log showed of the last attempt. */
struct observed {
	unsigned int refused;
	unsigned int bounced;
	unsigned long attrs;
	int sg_err;
};

struct dma_direct_ctx {
	struct device *dev;
	struct page *pages[NR_PAGES];
	struct mapping map;
	struct observed seen;
	struct kunit_calls for_device;	/* cache maintenance */
	struct kunit_calls for_cpu;
	struct device *client;		/* of peer-to-peer memory */
	struct kunit_dma_settings client_settings;
	struct kmsg_dump_iter log;
	char line[256];
};

/* Tracepoints */

static void saw_map_phys(void *data, struct device *dev, phys_addr_t phys,
			 dma_addr_t addr, size_t size,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct dma_direct_ctx *ctx = data;

	if (dev != ctx->dev || addr != DMA_MAPPING_ERROR)
		return;

	ctx->seen.refused++;
	ctx->seen.attrs = attrs;
}

static void saw_map_sg_err(void *data, struct device *dev,
			   struct scatterlist *sgl, int nents, int err,
			   enum dma_data_direction dir, unsigned long attrs)
{
	struct dma_direct_ctx *ctx = data;

	if (dev != ctx->dev)
		return;

	ctx->seen.refused++;
	ctx->seen.sg_err = err;
	ctx->seen.attrs = attrs;
}

static void saw_bounce(void *data, struct device *dev, dma_addr_t addr,
		       size_t size)
{
	struct dma_direct_ctx *ctx = data;

	if (dev == ctx->dev)
		ctx->seen.bounced++;
}

static const struct kunit_probe probes[] = {
	{ "dma_map_phys", saw_map_phys },
	{ "dma_map_sg_err", saw_map_sg_err },
	{ "swiotlb_bounced", saw_bounce },
};

/* The log */

static void watch_log(struct dma_direct_ctx *ctx)
{
	kmsg_dump_rewind(&ctx->log);
	ctx->log.cur_seq = ctx->log.next_seq;
}

/* Return the next line since watch_log() which speaks of the device. */
static const char *next_log_line(struct dma_direct_ctx *ctx)
{
	size_t len;

	while (kmsg_dump_get_line(&ctx->log, false, ctx->line,
				  sizeof(ctx->line) - 1, &len)) {
		ctx->line[len] = '\0';
		if (strstr(ctx->line, dev_name(ctx->dev)))
			return ctx->line;
	}

	return NULL;
}

KUNIT_DEFINE_ACTION_WRAPPER(free_page_action, __free_page, struct page *);

static struct page *dma_direct_alloc_page(struct kunit *test, gfp_t gfp)
{
	struct page *page = alloc_page(gfp | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   free_page_action,
							   page));

	return page;
}

/* The device and its obstacles */

static void skip_if_bounce_is_forced(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	if (is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "swiotlb=force hides every other obstacle");
}

static void skip_unless_bounce_is_forced(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	if (!is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "needs swiotlb=force");
}

static void set_dma_mask(struct kunit *test, u64 mask)
{
	struct dma_direct_ctx *ctx = test->priv;

	if (dma_coerce_mask_and_coherent(ctx->dev, mask))
		kunit_skip(test, "no memory below DMA mask %#llx", mask);
}

/* Also resets the DMA mask, since that is when coherency is taken note of. */
static void set_coherent(struct kunit *test, bool coherent)
{
	struct dma_direct_ctx *ctx = test->priv;

	kunit_dma_set_coherent(ctx->dev, coherent);
	kunit_dma_skip_unless_coherent(test, ctx->dev, coherent);
	set_dma_mask(test, DMA_BIT_MASK(64));
}

/* Without a pool that the device reaches, a bounce fails and warns. */
static void skip_unless_pool_is_in_reach(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct io_tlb_mem *mem = ctx->dev->dma_io_tlb_mem;
	u64 limit = min_not_zero(*ctx->dev->dma_mask, ctx->dev->bus_dma_limit);

	if (!mem || !mem->nslabs ||
	    phys_to_dma(ctx->dev, mem->defpool.end - 1) > limit)
		kunit_skip(test, "no SWIOTLB pool below %#llx", limit);
}

/* What has no kernel address is the whole page that is in the way. */
static struct page *page_of(const struct dma_direct_ctx *ctx)
{
	return ctx->map.buf ? virt_to_page(ctx->map.buf) : ctx->pages[OBSTACLE];
}

static phys_addr_t phys_of(const struct dma_direct_ctx *ctx)
{
	return ctx->map.mmio ?: page_to_phys(page_of(ctx)) +
				offset_in_page(ctx->map.buf);
}

/* Mapping */

static bool is_scatterlist(const struct mapping *map)
{
	return map->interface == MAP_SG || map->interface == MAP_SGTABLE;
}

/* Build the scatterlist: the buffer, and whole pages around it. */
static void prepare_sgt(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	unsigned int page = 0;
	struct scatterlist *sg;
	int i;

	KUNIT_ASSERT_EQ(test, sg_alloc_table(&map->sgt, NR_PAGES, GFP_KERNEL), 0);

	for_each_sgtable_sg(&map->sgt, sg, i) {
		if (i == map->entry) {
			sg_set_page(sg, page_of(ctx), map->size,
				    offset_in_page(map->buf));
			continue;
		}
		if (page == OBSTACLE)
			page++;
		sg_set_page(sg, ctx->pages[page++], PAGE_SIZE, 0);
	}
}

static void free_sgt(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	if (is_scatterlist(&ctx->map))
		sg_free_table(&ctx->map.sgt);
}

/* Map the buffer with @attrs and take down all that can be seen of it. */
static void map_buffer(struct kunit *test, unsigned long attrs)
{
	const struct interface_param *param = test->param_value;
	struct dma_direct_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	struct device *dev = ctx->dev;

	map->interface = param ? param->interface : MAP_PHYS;
	map->attrs = attrs;
	map->ret = 0;
	if (!map->buf) {
		map->buf = page_address(ctx->pages[OBSTACLE]);
		map->size = PAGE_SIZE;
	}
	if (is_scatterlist(map))
		prepare_sgt(test);

	memset(&ctx->seen, 0, sizeof(ctx->seen));
	watch_log(ctx);

	switch (map->interface) {
	case MAP_PHYS:
		map->addr = dma_map_phys(dev, phys_of(ctx), map->size,
					 DMA_BIDIRECTIONAL, attrs);
		break;
	case MAP_PAGE:
		map->addr = dma_map_page_attrs(dev, page_of(ctx),
					       offset_in_page(map->buf),
					       map->size, DMA_BIDIRECTIONAL,
					       attrs);
		break;
	case MAP_SINGLE:
		map->addr = dma_map_single_attrs(dev, map->buf, map->size,
						 DMA_BIDIRECTIONAL, attrs);
		break;
	case MAP_SG:
		map->sgt.nents = dma_map_sg_attrs(dev, map->sgt.sgl,
						  map->sgt.orig_nents,
						  DMA_BIDIRECTIONAL, attrs);
		if (!map->sgt.nents)
			map->ret = -EIO;
		return;
	case MAP_SGTABLE:
		map->ret = dma_map_sgtable(dev, &map->sgt, DMA_BIDIRECTIONAL,
					   attrs);
		return;
	}

	if (dma_mapping_error(dev, map->addr))
		map->ret = -EIO;
}

/* The same attributes as when mapping: that is part of the contract. */
static void unmap_buffer(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	struct device *dev = ctx->dev;

	if (map->ret) {
		free_sgt(test);
		return;
	}

	switch (map->interface) {
	case MAP_PHYS:
		dma_unmap_phys(dev, map->addr, map->size, DMA_BIDIRECTIONAL,
			       map->attrs);
		break;
	case MAP_PAGE:
		dma_unmap_page_attrs(dev, map->addr, map->size,
				     DMA_BIDIRECTIONAL, map->attrs);
		break;
	case MAP_SINGLE:
		dma_unmap_single_attrs(dev, map->addr, map->size,
				       DMA_BIDIRECTIONAL, map->attrs);
		break;
	case MAP_SG:
		dma_unmap_sg_attrs(dev, map->sgt.sgl, map->sgt.orig_nents,
				   DMA_BIDIRECTIONAL, map->attrs);
		break;
	case MAP_SGTABLE:
		dma_unmap_sgtable(dev, &map->sgt, DMA_BIDIRECTIONAL,
				  map->attrs);
		break;
	}
	free_sgt(test);
}

/* Return the address under which the device sees the buffer. */
static dma_addr_t device_address(const struct mapping *map)
{
	struct scatterlist *sg;
	int i;

	if (!is_scatterlist(map))
		return map->addr;

	for_each_sgtable_dma_sg(&map->sgt, sg, i)
		if (i == map->entry)
			return sg_dma_address(sg);

	return DMA_MAPPING_ERROR;
}

static void expect_refused_with(struct kunit *test, unsigned long attrs)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	unsigned long slots = kunit_dma_slots(ctx->dev);
	const char *line;

	attrs |= DMA_ATTR_REQUIRE_COHERENT;
	map_buffer(test, attrs);

	KUNIT_EXPECT_EQ_MSG(test, map->ret,
			    map->interface == MAP_SGTABLE ? -EOPNOTSUPP : -EIO,
			    "with attributes %#lx", attrs);
	KUNIT_EXPECT_EQ_MSG(test, kunit_dma_slots(ctx->dev), slots,
			    "a refusal took a bounce slot");
	KUNIT_EXPECT_EQ_MSG(test, ctx->seen.bounced, 0,
			    "a refusal tried to bounce");

	line = next_log_line(ctx);
	KUNIT_EXPECT_NULL_MSG(test, line, "a refusal printed: %s", line);

	KUNIT_EXPECT_EQ_MSG(test, ctx->seen.refused, 1,
			    "a refusal was not traced once");
	KUNIT_EXPECT_EQ_MSG(test, ctx->seen.attrs, attrs,
			    "a refusal was traced with other attributes");
	KUNIT_EXPECT_EQ(test, ctx->seen.sg_err,
			is_scatterlist(map) ? -EOPNOTSUPP : 0);

	unmap_buffer(test);
}

static void expect_refused(struct kunit *test)
{
	expect_refused_with(test, 0);
}

static void expect_bounced(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	unsigned long slots = kunit_dma_slots(ctx->dev);

	skip_unless_pool_is_in_reach(test);
	map_buffer(test, 0);
	KUNIT_EXPECT_EQ(test, map->ret, 0);
	if (!map->ret) {
		KUNIT_EXPECT_NE(test, device_address(map),
				phys_to_dma(ctx->dev, phys_of(ctx)));
		KUNIT_EXPECT_TRUE(test, dma_need_sync(ctx->dev,
						      device_address(map)));
		KUNIT_EXPECT_GT(test, ctx->seen.bounced, 0);
	}

	unmap_buffer(test);
	KUNIT_EXPECT_EQ(test, kunit_dma_slots(ctx->dev), slots);
}

static void expect_in_place_with(struct kunit *test, unsigned long attrs)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;

	map_buffer(test, attrs);
	KUNIT_EXPECT_EQ_MSG(test, map->ret, 0, "with attributes %#lx", attrs);
	KUNIT_EXPECT_EQ(test, ctx->seen.bounced, 0);
	KUNIT_EXPECT_EQ(test, ctx->seen.refused, 0);
	KUNIT_EXPECT_NULL(test, next_log_line(ctx));
	if (!map->ret) {
		KUNIT_EXPECT_EQ_MSG(test, device_address(map),
				    phys_to_dma(ctx->dev, phys_of(ctx)),
				    "with attributes %#lx", attrs);
		KUNIT_EXPECT_EQ(test, !dev_is_dma_coherent(ctx->dev),
				dma_need_sync(ctx->dev, device_address(map)));
	}

	unmap_buffer(test);
}

/* Nothing in the way */

static void maps_in_place_when_nothing_is_in_the_way(struct kunit *test)
{
	skip_if_bounce_is_forced(test);

	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

static void maps_in_place_without_attribute(struct kunit *test)
{
	skip_if_bounce_is_forced(test);

	expect_in_place_with(test, 0);
}

/* A device that is not cache-coherent */

static void refuses_when_device_is_not_coherent(struct kunit *test)
{
	skip_if_bounce_is_forced(test);
	set_coherent(test, false);

	expect_refused(test);
}

static void maps_for_noncoherent_device_without_attribute(struct kunit *test)
{
	skip_if_bounce_is_forced(test);
	set_coherent(test, false);

	expect_in_place_with(test, 0);
}

/* For the device when mapping, and for the CPU when unmapping. */
static void expect_cache_maintenance(struct kunit *test, unsigned long attrs,
				     bool expected)
{
	struct dma_direct_ctx *ctx = test->priv;

	skip_if_bounce_is_forced(test);
	set_coherent(test, false);
	kunit_override_nth(test, &ctx->for_device, "arch_sync_dma_for_device", 0);
	kunit_override_nth(test, &ctx->for_cpu, "arch_sync_dma_for_cpu", 0);

	kunit_begin_calls(&ctx->for_device, 0);
	kunit_begin_calls(&ctx->for_cpu, 0);
	expect_in_place_with(test, attrs);
	kunit_end_calls(&ctx->for_cpu);
	kunit_end_calls(&ctx->for_device);

	KUNIT_EXPECT_EQ(test, ctx->for_device.nr > 0, expected);
	KUNIT_EXPECT_EQ(test, ctx->for_cpu.nr > 0, expected);
}

static void maintains_caches_without_attribute(struct kunit *test)
{
	expect_cache_maintenance(test, 0, true);
}

static void skips_cache_maintenance_for_driver_that_does_it(struct kunit *test)
{
	expect_cache_maintenance(test, DMA_ATTR_SKIP_CPU_SYNC, false);
}

/* A bounce buffer is forced */

static void refuses_when_bounce_is_forced(struct kunit *test)
{
	skip_unless_bounce_is_forced(test);

	expect_refused(test);
}

static void bounces_when_forced_without_attribute(struct kunit *test)
{
	skip_unless_bounce_is_forced(test);

	expect_bounced(test);
}

/* The same for one device, as a restricted DMA pool or a hypervisor does it */

static void force_bounce_for_device(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	/* A refusal has no use for slots. */
	ctx->dev->dma_io_tlb_mem = kunit_dma_empty_pool(test, true);
}

static void refuses_when_bounce_is_forced_for_device(struct kunit *test)
{
	force_bounce_for_device(test);

	expect_refused(test);
}

static void bounces_when_forced_for_device_without_attribute(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	struct io_tlb_mem *mem;

	skip_if_bounce_is_forced(test);
	skip_unless_pool_is_in_reach(test);
	if (IS_ENABLED(CONFIG_SWIOTLB_DYNAMIC))
		kunit_skip(test, "a list of pools cannot be shared");

	/* A pool of its own, of the memory that everybody uses. */
	mem = kunit_kmalloc(test, sizeof(*mem), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	*mem = *ctx->dev->dma_io_tlb_mem;
	mem->force_bounce = true;
	ctx->dev->dma_io_tlb_mem = mem;

	expect_bounced(test);
}

/* An error that is no refusal: dma_map_sgtable() tells which it is. */
static void fails_without_attribute_if_there_is_no_slot(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	force_bounce_for_device(test);
	map_buffer(test, 0);

	KUNIT_EXPECT_EQ(test, ctx->map.ret, -EIO);
	unmap_buffer(test);
}

/* Memory above the DMA mask */

static const struct mask_param {
	struct interface_param interface;
	unsigned int bits;
} mask_params[] = {
	{ { "28 bits, dma_map_phys", MAP_PHYS }, 28 },
	{ { "28 bits, dma_map_page_attrs", MAP_PAGE }, 28 },
	{ { "28 bits, dma_map_single_attrs", MAP_SINGLE }, 28 },
	{ { "28 bits, dma_map_sg_attrs", MAP_SG }, 28 },
	{ { "28 bits, dma_map_sgtable", MAP_SGTABLE }, 28 },
	{ { "32 bits, dma_map_phys", MAP_PHYS }, 32 },
	{ { "32 bits, dma_map_page_attrs", MAP_PAGE }, 32 },
	{ { "32 bits, dma_map_single_attrs", MAP_SINGLE }, 32 },
	{ { "32 bits, dma_map_sg_attrs", MAP_SG }, 32 },
	{ { "32 bits, dma_map_sgtable", MAP_SGTABLE }, 32 },
};

KUNIT_ARRAY_PARAM_DESC(mask, mask_params, interface.desc);

/*
 * What has no kernel address lies above all that has one, and every interface but
 * dma_map_single() takes it. Return what there is to say of memory that is missed.
 */
static const char *put_buffer_high(struct kunit *test)
{
	const struct interface_param *param;
	struct dma_direct_ctx *ctx;

	if (!IS_ENABLED(CONFIG_HIGHMEM))
		return "";

	param = test->param_value;
	if (param->interface == MAP_SINGLE)
		return " has a kernel address";

	ctx = test->priv;
	ctx->pages[OBSTACLE] = dma_direct_alloc_page(test, GFP_HIGHUSER);
	return "";
}

static void set_mask_below_buffer(struct kunit *test)
{
	const struct mask_param *param = test->param_value;
	struct dma_direct_ctx *ctx = test->priv;
	u64 mask = DMA_BIT_MASK(param->bits);
	const char *that;

	skip_if_bounce_is_forced(test);
	set_dma_mask(test, mask);
	that = put_buffer_high(test);
	if (page_to_phys(ctx->pages[OBSTACLE]) <= mask)
		kunit_skip(test, "no memory above DMA mask %#llx%s", mask, that);
}

static void refuses_above_dma_mask(struct kunit *test)
{
	set_mask_below_buffer(test);

	expect_refused(test);
}

static void bounces_above_dma_mask_without_attribute(struct kunit *test)
{
	set_mask_below_buffer(test);

	expect_bounced(test);
}

/* Memory above what the bus can address */

static void set_bus_limit_below_buffer(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	const char *that;

	skip_if_bounce_is_forced(test);
	ctx->dev->bus_dma_limit = DMA_BIT_MASK(32);
	that = put_buffer_high(test);
	if (page_to_phys(ctx->pages[OBSTACLE]) <= ctx->dev->bus_dma_limit)
		kunit_skip(test, "no memory above bus limit %#llx%s",
			   ctx->dev->bus_dma_limit, that);
}

static void refuses_above_bus_limit(struct kunit *test)
{
	set_bus_limit_below_buffer(test);

	expect_refused(test);
}

static void bounces_above_bus_limit_without_attribute(struct kunit *test)
{
	set_bus_limit_below_buffer(test);

	expect_bounced(test);
}

/* The last byte counts: a buffer that begins below the limit and ends above. */

static void set_bus_limit_inside_buffer(struct kunit *test, u64 last_byte)
{
	struct dma_direct_ctx *ctx = test->priv;
	u64 first_byte;

	skip_if_bounce_is_forced(test);
	first_byte = phys_to_dma(ctx->dev, page_to_phys(ctx->pages[OBSTACLE]));
	ctx->dev->bus_dma_limit = first_byte + last_byte;
}

static void refuses_when_last_byte_is_above_bus_limit(struct kunit *test)
{
	set_bus_limit_inside_buffer(test, PAGE_SIZE - 2);

	expect_refused(test);
}

static void bounces_when_last_byte_is_above_bus_limit_without_attribute(struct kunit *test)
{
	set_bus_limit_inside_buffer(test, PAGE_SIZE - 2);

	expect_bounced(test);
}

static void maps_when_last_byte_is_at_bus_limit(struct kunit *test)
{
	set_bus_limit_inside_buffer(test, PAGE_SIZE - 1);

	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

/* One entry that is out of reach, at either end or in the middle */

static const struct entry_param {
	struct interface_param interface;
	unsigned int entry;
} entry_params[] = {
	{ { "first entry, dma_map_sg_attrs", MAP_SG }, 0 },
	{ { "second entry, dma_map_sg_attrs", MAP_SG }, 1 },
	{ { "last entry, dma_map_sg_attrs", MAP_SG }, NR_PAGES - 1 },
	{ { "first entry, dma_map_sgtable", MAP_SGTABLE }, 0 },
	{ { "second entry, dma_map_sgtable", MAP_SGTABLE }, 1 },
	{ { "last entry, dma_map_sgtable", MAP_SGTABLE }, NR_PAGES - 1 },
};

KUNIT_ARRAY_PARAM_DESC(entry, entry_params, interface.desc);

static void put_entry_above_bus_limit(struct kunit *test)
{
	const struct entry_param *param = test->param_value;
	struct dma_direct_ctx *ctx = test->priv;

	set_bus_limit_inside_buffer(test, 0);
	ctx->map.entry = param->entry;
}

static void refuses_scatterlist_for_any_one_entry(struct kunit *test)
{
	put_entry_above_bus_limit(test);

	expect_refused(test);
}

static void bounces_any_one_entry_without_attribute(struct kunit *test)
{
	put_entry_above_bus_limit(test);

	expect_bounced(test);
}

/*
 * A kmalloc() buffer that shares cachelines with other data. Only devices that
 * are not coherent need it bounced, so there is more than one reason to refuse.
 */

static void use_small_kmalloc_buffer(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	skip_if_bounce_is_forced(test);
	set_coherent(test, false);
	ctx->map.size = 8;
	ctx->map.buf = kunit_kzalloc(test, ctx->map.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->map.buf);
	if (!dma_kmalloc_needs_bounce(ctx->dev, ctx->map.size,
				      DMA_BIDIRECTIONAL))
		kunit_skip(test, "kmalloc() aligns every buffer for DMA here");
}

static void refuses_small_kmalloc_buffer(struct kunit *test)
{
	use_small_kmalloc_buffer(test);

	expect_refused(test);
}

static void bounces_small_kmalloc_buffer_without_attribute(struct kunit *test)
{
	use_small_kmalloc_buffer(test);

	expect_bounced(test);
}

/* Attributes that must not lift the refusal */

static const struct attrs_param {
	struct interface_param interface;
	unsigned long attrs;
} attrs_params[] = {
	{ { "SKIP_CPU_SYNC", MAP_PHYS }, DMA_ATTR_SKIP_CPU_SYNC },
	{ { "SKIP_CPU_SYNC, scatterlist", MAP_SGTABLE }, DMA_ATTR_SKIP_CPU_SYNC },
	{ { "NO_WARN", MAP_PHYS }, DMA_ATTR_NO_WARN },
	{ { "NO_WARN, scatterlist", MAP_SGTABLE }, DMA_ATTR_NO_WARN },
	{ { "WEAK_ORDERING", MAP_PHYS }, DMA_ATTR_WEAK_ORDERING },
	{ { "PRIVILEGED", MAP_PHYS }, DMA_ATTR_PRIVILEGED },
	{ { "DEBUGGING_IGNORE_CACHELINES", MAP_PHYS },
	  DMA_ATTR_DEBUGGING_IGNORE_CACHELINES },
	{ { "all of these", MAP_PHYS },
	  DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN | DMA_ATTR_WEAK_ORDERING |
	  DMA_ATTR_PRIVILEGED | DMA_ATTR_DEBUGGING_IGNORE_CACHELINES },
	{ { "all of these, scatterlist", MAP_SGTABLE },
	  DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN | DMA_ATTR_WEAK_ORDERING |
	  DMA_ATTR_PRIVILEGED | DMA_ATTR_DEBUGGING_IGNORE_CACHELINES },
};

KUNIT_ARRAY_PARAM_DESC(attrs, attrs_params, interface.desc);

static void no_attribute_lifts_refusal_of_bounce(struct kunit *test)
{
	const struct attrs_param *param = test->param_value;
	struct dma_direct_ctx *ctx = test->priv;

	if (!is_swiotlb_force_bounce(ctx->dev))
		set_bus_limit_inside_buffer(test, 0);

	expect_refused_with(test, param->attrs);
}

static void no_attribute_lifts_refusal_of_noncoherent_device(struct kunit *test)
{
	const struct attrs_param *param = test->param_value;

	skip_if_bounce_is_forced(test);
	set_coherent(test, false);

	expect_refused_with(test, param->attrs);
}

static void other_attributes_do_not_cause_refusal(struct kunit *test)
{
	const struct attrs_param *param = test->param_value;

	skip_if_bounce_is_forced(test);

	expect_in_place_with(test, param->attrs | DMA_ATTR_REQUIRE_COHERENT);
}

/*
 * MMIO has no cached copy, so coherency is no obstacle. It cannot be bounced
 * either, so every other obstacle is one with or without the attribute, and
 * without it there is a WARN; hence no mirror cases.
 */

static void use_mmio(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	ctx->map.mmio = kunit_dma_mmio_above(test,
					     page_to_phys(ctx->pages[OBSTACLE]));
}

static void maps_mmio_for_noncoherent_device(struct kunit *test)
{
	skip_if_bounce_is_forced(test);
	set_coherent(test, false);
	use_mmio(test);

	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_MMIO);
}

static void refuses_mmio_above_bus_limit(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	skip_if_bounce_is_forced(test);
	use_mmio(test);
	ctx->dev->bus_dma_limit = ctx->map.mmio;

	expect_refused_with(test, DMA_ATTR_MMIO);
}

static void refuses_mmio_when_bounce_is_forced(struct kunit *test)
{
	skip_unless_bounce_is_forced(test);
	use_mmio(test);

	expect_refused_with(test, DMA_ATTR_MMIO);
}

/*
 * What was mapped with the attribute has no bounce slot, so unmapping it must
 * leave those of others alone: neither sync nor free any.
 */

static void unmapping_leaves_bounce_slots_of_others_alone(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	u8 *buf = page_address(ctx->pages[OBSTACLE]);
	struct device *dev = ctx->dev;
	dma_addr_t bounced, in_place;
	unsigned long slots;

	set_bus_limit_inside_buffer(test, 0);
	skip_unless_pool_is_in_reach(test);

	memset(buf, 0, PAGE_SIZE);
	bounced = dma_map_phys(dev, virt_to_phys(buf), PAGE_SIZE,
			       DMA_BIDIRECTIONAL, 0);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, bounced));
	slots = kunit_dma_slots(dev);

	/* The device writes; a sync would copy this to the buffer. */
	memset(phys_to_virt(dma_to_phys(dev, bounced)), 0x5a, PAGE_SIZE);

	in_place = dma_map_phys(dev, page_to_phys(ctx->pages[0]), PAGE_SIZE,
				DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	KUNIT_EXPECT_FALSE(test, dma_mapping_error(dev, in_place));
	if (in_place != DMA_MAPPING_ERROR)
		dma_unmap_phys(dev, in_place, PAGE_SIZE, DMA_BIDIRECTIONAL,
			       DMA_ATTR_REQUIRE_COHERENT);

	KUNIT_EXPECT_EQ_MSG(test, buf[0], 0, "unmapping has synced");
	KUNIT_EXPECT_EQ_MSG(test, kunit_dma_slots(dev), slots,
			    "unmapping has freed a slot");

	dma_unmap_phys(dev, bounced, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
	KUNIT_EXPECT_EQ(test, buf[0], 0x5a);
}

/*
 * Peer-to-peer memory that is reached through the host bridge is mapped by its
 * physical address. The provider is QEMU's ivshmem-plain, which has a memory
 * BAR; the device that is mapped for is its edu, next to it on the root bus.
 */

static const struct p2p_param {
	const char *desc;
	unsigned long attrs;
} p2p_params[] = {
	{ "REQUIRE_COHERENT", DMA_ATTR_REQUIRE_COHERENT },
	{ "without attribute", 0 },
};

KUNIT_ARRAY_PARAM_DESC(p2p, p2p_params, desc);

#ifdef CONFIG_PCI_P2PDMA
KUNIT_DEFINE_ACTION_WRAPPER(pci_dev_put_action, pci_dev_put, struct pci_dev *);

static struct pci_dev *get_pci_device(struct kunit *test, unsigned int vendor,
				      unsigned int device)
{
	struct pci_dev *pdev = pci_get_device(vendor, device, NULL);

	if (!pdev)
		kunit_skip(test, "needs a PCI device %04x:%04x", vendor, device);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   pci_dev_put_action,
							   pdev));
	if (pdev->dev.driver)
		kunit_skip(test, "the PCI device has a driver");

	return pdev;
}

static void restore_client(void *data)
{
	struct dma_direct_ctx *ctx = data;

	kunit_dma_apply(ctx->client, &ctx->client_settings);
}

static void release_p2pmem(void *data)
{
	struct pci_dev *pdev = data;

	devres_release_group(&pdev->dev, release_p2pmem);
}

/* Map memory of one device for another, or for itself. */
static void map_p2pmem(struct kunit *test, struct pci_dev *provider,
		       struct pci_dev *client)
{
	const struct p2p_param *param = test->param_value;
	struct dma_direct_ctx *ctx = test->priv;
	struct scatterlist sg;
	struct sg_table sgt = { .sgl = &sg, .orig_nents = 1 };
	bool own = provider == client;
	void *p2pmem;
	int ret;

	skip_if_bounce_is_forced(test);
	if (device_iommu_mapped(&client->dev))
		kunit_skip(test, "the PCI device is behind an IOMMU");

	ctx->client = &client->dev;
	ctx->client_settings = kunit_dma_settings(&client->dev);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, restore_client,
							   ctx));
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(&client->dev, DMA_BIT_MASK(64)));

	KUNIT_ASSERT_NOT_NULL(test, devres_open_group(&provider->dev,
						      release_p2pmem,
						      GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_p2pmem,
							   provider));
	KUNIT_ASSERT_EQ(test, 0, pci_p2pdma_add_resource(provider, 2, 0, 0));
	if (pci_p2pdma_distance(provider, &client->dev, false) < 0)
		kunit_skip(test, "the host bridge is not known to route between peers");
	p2pmem = pci_alloc_p2pmem(provider, PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, p2pmem);

	sg_init_table(&sg, 1);
	sg_set_page(&sg, virt_to_page(p2pmem), PAGE_SIZE, 0);
	sg_dma_address(&sg) = DMA_MAPPING_ERROR;

	ret = dma_map_sgtable(&client->dev, &sgt, DMA_BIDIRECTIONAL, param->attrs);
	KUNIT_EXPECT_EQ(test, ret, 0);
	if (!ret) {
		KUNIT_EXPECT_EQ(test, sg_dma_address(&sg),
				own ? pci_p2pmem_virt_to_bus(provider, p2pmem) :
				      phys_to_dma(&client->dev, sg_phys(&sg)));
		KUNIT_EXPECT_EQ(test, sg_dma_len(&sg), PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, sg_dma_is_bus_address(&sg), own);
		dma_unmap_sgtable(&client->dev, &sgt, DMA_BIDIRECTIONAL,
				  param->attrs);
	}
	pci_free_p2pmem(provider, p2pmem, PAGE_SIZE);
}

static void maps_peer_to_peer_memory_behind_host_bridge(struct kunit *test)
{
	struct pci_dev *provider, *client;

	provider = get_pci_device(test, PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110);
	client = get_pci_device(test, 0x1234, 0x11e8);
	map_p2pmem(test, provider, client);
}

/* A device reaches its own memory without leaving its bus. */
static void maps_memory_on_the_same_bus_by_its_bus_address(struct kunit *test)
{
	struct pci_dev *provider;

	provider = get_pci_device(test, PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110);
	map_p2pmem(test, provider, provider);
}
#else
static void maps_peer_to_peer_memory_behind_host_bridge(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_PCI_P2PDMA");
}

static void maps_memory_on_the_same_bus_by_its_bus_address(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_PCI_P2PDMA");
}
#endif /* CONFIG_PCI_P2PDMA */

/*
 * That a refusal takes no slot is shown only where slots are counted. Skipping
 * overrides a failure, so this is a case without expectations.
 */

static void slots_in_use_are_counted(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;
	unsigned long slots = kunit_dma_slots(ctx->dev), slots_mapped;

	if (!is_swiotlb_force_bounce(ctx->dev))
		set_bus_limit_inside_buffer(test, 0);
	skip_unless_pool_is_in_reach(test);

	map_buffer(test, 0);
	slots_mapped = kunit_dma_slots(ctx->dev);
	unmap_buffer(test);
	if (slots_mapped == slots)
		kunit_skip(test, "no slots counted: boot with swiotlb=track_hiwater");
}

/* A refusal must not spoil what comes after it, nor depend on what was before. */

static void refusal_does_not_depend_on_earlier_mappings(struct kunit *test)
{
	struct dma_direct_ctx *ctx = test->priv;

	if (is_swiotlb_force_bounce(ctx->dev)) {
		expect_refused(test);
		expect_bounced(test);
		expect_refused(test);
		return;
	}

	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
	set_bus_limit_inside_buffer(test, 0);
	expect_refused(test);
	ctx->dev->bus_dma_limit = 0;
	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
	expect_in_place_with(test, 0);
}

static int dma_direct_init(struct kunit *test)
{
	struct dma_direct_ctx *ctx;
	unsigned int i;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->dev = kunit_device_register(test, "dma-direct-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dev);
	if (get_dma_ops(ctx->dev))
		kunit_skip(test, "devices of this machine are not mapped directly");

	/* A limit drawn through the obstacle leaves its neighbours alone. */
	for (i = 0; i < NR_PAGES; i++)
		ctx->pages[i] = dma_direct_alloc_page(test, i == OBSTACLE ?
						      GFP_KERNEL : GFP_DMA);
	for (i = 0; i < NR_PAGES; i++)
		if (page_to_phys(ctx->pages[i]) > page_to_phys(ctx->pages[OBSTACLE]))
			swap(ctx->pages[i], ctx->pages[OBSTACLE]);

	ctx->map.entry = OBSTACLE;

	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);
	set_coherent(test, true);

	return 0;
}

static struct kunit_case dma_direct_cases[] = {
	KUNIT_CASE_PARAM(maps_in_place_when_nothing_is_in_the_way, interface_gen_params),
	KUNIT_CASE_PARAM(maps_in_place_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_when_device_is_not_coherent, interface_gen_params),
	KUNIT_CASE_PARAM(maps_for_noncoherent_device_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(maintains_caches_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(skips_cache_maintenance_for_driver_that_does_it, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_when_bounce_is_forced, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_when_forced_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_when_bounce_is_forced_for_device, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_when_forced_for_device_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(fails_without_attribute_if_there_is_no_slot,
			 interface_gen_params),
	KUNIT_CASE_PARAM(refuses_above_dma_mask, mask_gen_params),
	KUNIT_CASE_PARAM(bounces_above_dma_mask_without_attribute, mask_gen_params),
	KUNIT_CASE_PARAM(refuses_above_bus_limit, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_above_bus_limit_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_when_last_byte_is_above_bus_limit, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_when_last_byte_is_above_bus_limit_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(maps_when_last_byte_is_at_bus_limit, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_scatterlist_for_any_one_entry, entry_gen_params),
	KUNIT_CASE_PARAM(bounces_any_one_entry_without_attribute, entry_gen_params),
	KUNIT_CASE_PARAM(refuses_small_kmalloc_buffer, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_small_kmalloc_buffer_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(no_attribute_lifts_refusal_of_bounce, attrs_gen_params),
	KUNIT_CASE_PARAM(no_attribute_lifts_refusal_of_noncoherent_device, attrs_gen_params),
	KUNIT_CASE_PARAM(other_attributes_do_not_cause_refusal, attrs_gen_params),
	KUNIT_CASE(maps_mmio_for_noncoherent_device),
	KUNIT_CASE(refuses_mmio_above_bus_limit),
	KUNIT_CASE(refuses_mmio_when_bounce_is_forced),
	KUNIT_CASE_PARAM(maps_peer_to_peer_memory_behind_host_bridge, p2p_gen_params),
	KUNIT_CASE_PARAM(maps_memory_on_the_same_bus_by_its_bus_address,
			 p2p_gen_params),
	KUNIT_CASE(slots_in_use_are_counted),
	KUNIT_CASE(unmapping_leaves_bounce_slots_of_others_alone),
	KUNIT_CASE_PARAM(refusal_does_not_depend_on_earlier_mappings, interface_gen_params),
	{}
};

static struct kunit_suite dma_direct_suite = {
	.name = "dma_direct",
	.init = dma_direct_init,
	.test_cases = dma_direct_cases,
};

kunit_test_suite(dma_direct_suite);

MODULE_DESCRIPTION("KUnit tests for DMA_ATTR_REQUIRE_COHERENT on the direct mapping path");
MODULE_LICENSE("GPL");

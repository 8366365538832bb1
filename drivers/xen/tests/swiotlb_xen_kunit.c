// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for DMA_ATTR_REQUIRE_COHERENT under Xen.
 *
 * A PV domain sees pseudo-physical pages, and the device sees the machine pages
 * behind them. The tests map what a driver maps and arrange the machine pages:
 *
 *	pseudo-physical |  page 0  |  page 1  |    one buffer
 *	machine             n           m          n + 1 != m: cannot be mapped
 *
 * Xen itself exchanges the page behind page 1. Memory beyond the DMA mask is
 * found by its machine address; Xen gives dom0 the highest memory first.
 * Bouncing is forced by the switch that swiotlb=force sets.
 *
 * Each obstacle is tried with the attribute, which refuses the mapping and
 * consumes nothing, and without, where the buffer is bounced as ever.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>
#include <asm/xen/hypercall.h>
#include <xen/interface/memory.h>
#include <xen/page.h>
#include <xen/swiotlb-xen.h>

#define NR_ENTRIES	3
#define BUFFER_ORDER	1
#define BUFFER_SIZE	(PAGE_SIZE << BUFFER_ORDER)

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
	unsigned int entry;	/* of the scatterlist, for the buffer */
} interface_params[] = {
	{ "dma_map_phys", MAP_PHYS },
	{ "dma_map_page_attrs", MAP_PAGE },
	{ "dma_map_single_attrs", MAP_SINGLE },
	{ "dma_map_sg_attrs, first entry", MAP_SG, 0 },
	{ "dma_map_sg_attrs, second entry", MAP_SG, 1 },
	{ "dma_map_sg_attrs, last entry", MAP_SG, NR_ENTRIES - 1 },
	{ "dma_map_sgtable, first entry", MAP_SGTABLE, 0 },
	{ "dma_map_sgtable, second entry", MAP_SGTABLE, 1 },
	{ "dma_map_sgtable, last entry", MAP_SGTABLE, NR_ENTRIES - 1 },
};

KUNIT_ARRAY_PARAM_DESC(interface, interface_params, desc);

struct swiotlb_xen_ctx {
	struct device *dev;
	struct page *pages;		/* the buffer */
	struct page *around;		/* whole pages, for scatterlists */
	size_t size;
	/* The last attempt to map it */
	enum interface interface;
	unsigned int entry;
	unsigned long attrs;
	struct sg_table sgt;
	dma_addr_t addr;
	int ret;
	/* What the tracepoints saw of it */
	unsigned int refused;
	unsigned int bounced;
	bool force_bounce;
};

/* Tracepoints */

static void saw_map_phys(void *data, struct device *dev, phys_addr_t phys,
			 dma_addr_t addr, size_t size,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct swiotlb_xen_ctx *ctx = data;

	if (dev == ctx->dev && addr == DMA_MAPPING_ERROR && attrs == ctx->attrs)
		ctx->refused++;
}

static void saw_map_sg_err(void *data, struct device *dev,
			   struct scatterlist *sgl, int nents, int err,
			   enum dma_data_direction dir, unsigned long attrs)
{
	struct swiotlb_xen_ctx *ctx = data;

	if (dev == ctx->dev && err == -EOPNOTSUPP && attrs == ctx->attrs)
		ctx->refused++;
}

static void saw_bounce(void *data, struct device *dev, dma_addr_t addr,
		       size_t size)
{
	struct swiotlb_xen_ctx *ctx = data;

	if (dev == ctx->dev)
		ctx->bounced++;
}

static const struct kunit_probe probes[] = {
	{ "dma_map_phys", saw_map_phys },
	{ "dma_map_sg_err", saw_map_sg_err },
	{ "swiotlb_bounced", saw_bounce },
};

/* Memory and its machine addresses */

static phys_addr_t machine_address(struct page *page)
{
	return PFN_PHYS(pfn_to_bfn(page_to_pfn(page)));
}

/* Exchange the machine page, possibly for one of fewer bits. */
static void exchange_page(struct kunit *test, struct page *page,
			  unsigned int bits)
{
	dma_addr_t unused;

	KUNIT_ASSERT_EQ(test, 0,
			xen_create_contiguous_region(page_to_phys(page), 0, bits,
						     &unused));
}

/* Machine pages in a row, and in reach of every device. */
static void make_contiguous(struct kunit *test, struct page *page,
			    unsigned int order)
{
	dma_addr_t unused;

	KUNIT_ASSERT_EQ(test, 0,
			xen_create_contiguous_region(page_to_phys(page), order,
						     30, &unused));
}

static void scatter_buffer(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;

	exchange_page(test, ctx->pages + 1, 30);
	KUNIT_ASSERT_NE(test, machine_address(ctx->pages) + PAGE_SIZE,
			machine_address(ctx->pages + 1));
}

static void force_bounce(struct swiotlb_xen_ctx *ctx)
{
	ctx->dev->dma_io_tlb_mem->force_bounce = true;
}

static void free_pages_action(void *data)
{
	__free_pages(data, BUFFER_ORDER);
}

/* A page beyond the mask, in machine memory. */
static void use_page_beyond(struct kunit *test, u64 mask)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct page *page = NULL;
	unsigned int i;

	if (dma_set_mask(ctx->dev, mask))
		kunit_skip(test, "the SWIOTLB pool is beyond DMA mask %#llx", mask);

	for (i = 0; i < 64; i++) {
		page = alloc_pages(GFP_KERNEL | __GFP_ZERO, BUFFER_ORDER);
		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test,
							  free_pages_action,
							  page));
		if (machine_address(page) > mask)
			break;
	}
	if (machine_address(page) <= mask)
		kunit_skip(test, "no machine memory above DMA mask %#llx", mask);

	ctx->pages = page;
	ctx->size = PAGE_SIZE;
}

/* Mapping */

static bool is_scatterlist(struct swiotlb_xen_ctx *ctx)
{
	return ctx->interface == MAP_SG || ctx->interface == MAP_SGTABLE;
}

static void prepare_sgt(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct page *around = ctx->around;
	struct scatterlist *sg;
	int i;

	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&ctx->sgt, NR_ENTRIES,
						GFP_KERNEL));
	for_each_sgtable_sg(&ctx->sgt, sg, i) {
		if (i == ctx->entry)
			sg_set_page(sg, ctx->pages, ctx->size, 0);
		else
			sg_set_page(sg, around++, PAGE_SIZE, 0);
	}
}

static void map_buffer(struct kunit *test, unsigned long attrs)
{
	const struct interface_param *param = test->param_value;
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;

	ctx->interface = param->interface;
	ctx->entry = param->entry;
	ctx->attrs = attrs;
	ctx->ret = 0;
	if (is_scatterlist(ctx))
		prepare_sgt(test);
	ctx->refused = 0;
	ctx->bounced = 0;

	switch (ctx->interface) {
	case MAP_PHYS:
		ctx->addr = dma_map_phys(dev, page_to_phys(ctx->pages), ctx->size,
					 DMA_BIDIRECTIONAL, attrs);
		break;
	case MAP_PAGE:
		ctx->addr = dma_map_page_attrs(dev, ctx->pages, 0, ctx->size,
					       DMA_BIDIRECTIONAL, attrs);
		break;
	case MAP_SINGLE:
		ctx->addr = dma_map_single_attrs(dev, page_address(ctx->pages),
						 ctx->size, DMA_BIDIRECTIONAL,
						 attrs);
		break;
	case MAP_SG:
		ctx->sgt.nents = dma_map_sg_attrs(dev, ctx->sgt.sgl,
						  ctx->sgt.orig_nents,
						  DMA_BIDIRECTIONAL, attrs);
		if (!ctx->sgt.nents)
			ctx->ret = -EIO;
		return;
	case MAP_SGTABLE:
		ctx->ret = dma_map_sgtable(dev, &ctx->sgt, DMA_BIDIRECTIONAL,
					   attrs);
		return;
	}

	if (dma_mapping_error(dev, ctx->addr))
		ctx->ret = -EIO;
}

static void unmap_buffer(struct swiotlb_xen_ctx *ctx)
{
	struct device *dev = ctx->dev;

	if (!ctx->ret) {
		if (is_scatterlist(ctx))
			dma_unmap_sg_attrs(dev, ctx->sgt.sgl, ctx->sgt.orig_nents,
					   DMA_BIDIRECTIONAL, ctx->attrs);
		else
			dma_unmap_phys(dev, ctx->addr, ctx->size,
				       DMA_BIDIRECTIONAL, ctx->attrs);
	}
	if (is_scatterlist(ctx))
		sg_free_table(&ctx->sgt);
}

static dma_addr_t device_address(struct swiotlb_xen_ctx *ctx)
{
	struct scatterlist *sg;
	int i;

	if (!is_scatterlist(ctx))
		return ctx->addr;

	for_each_sgtable_dma_sg(&ctx->sgt, sg, i)
		if (i == ctx->entry)
			return sg_dma_address(sg);

	return DMA_MAPPING_ERROR;
}

static void expect_refused_with(struct kunit *test, unsigned long attrs)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);

	map_buffer(test, attrs | DMA_ATTR_REQUIRE_COHERENT);
	KUNIT_EXPECT_EQ_MSG(test, ctx->ret,
			    ctx->interface == MAP_SGTABLE ? -EOPNOTSUPP : -EIO,
			    "with attributes %#lx", ctx->attrs);
	KUNIT_EXPECT_EQ_MSG(test, ctx->bounced, 0, "a refusal tried to bounce");
	KUNIT_EXPECT_EQ_MSG(test, ctx->refused, 1,
			    "a refusal was not traced once with its attributes");
	unmap_buffer(ctx);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void expect_refused(struct kunit *test)
{
	expect_refused_with(test, 0);
}

static void expect_bounced(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);

	map_buffer(test, 0);
	KUNIT_EXPECT_EQ(test, ctx->ret, 0);
	KUNIT_EXPECT_GT(test, ctx->bounced, 0);
	if (!ctx->ret)
		KUNIT_EXPECT_NE(test, device_address(ctx),
				machine_address(ctx->pages));
	unmap_buffer(ctx);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void expect_in_place_with(struct kunit *test, unsigned long attrs)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);

	map_buffer(test, attrs);
	KUNIT_EXPECT_EQ(test, ctx->ret, 0);
	KUNIT_EXPECT_EQ(test, ctx->bounced, 0);
	KUNIT_EXPECT_EQ(test, ctx->refused, 0);
	if (!ctx->ret)
		KUNIT_EXPECT_EQ(test, device_address(ctx),
				machine_address(ctx->pages));
	unmap_buffer(ctx);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* The cases */

static void maps_contiguous_machine_pages(struct kunit *test)
{
	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

static void maps_without_attribute(struct kunit *test)
{
	expect_in_place_with(test, 0);
}

static void refuses_discontiguous_machine_pages(struct kunit *test)
{
	scatter_buffer(test);

	expect_refused(test);
}

static void bounces_discontiguous_machine_pages_without_attribute(struct kunit *test)
{
	scatter_buffer(test);

	expect_bounced(test);
}

/* Each of the pages by itself is fine. */
static void maps_one_of_discontiguous_machine_pages(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;

	scatter_buffer(test);
	ctx->size = PAGE_SIZE;

	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

static void refuses_machine_page_above_dma_mask(struct kunit *test)
{
	use_page_beyond(test, DMA_BIT_MASK(32));

	expect_refused(test);
}

static void bounces_machine_page_above_dma_mask_without_attribute(struct kunit *test)
{
	use_page_beyond(test, DMA_BIT_MASK(32));

	expect_bounced(test);
}

static void refuses_when_bounce_is_forced(struct kunit *test)
{
	force_bounce(test->priv);

	expect_refused(test);
}

static void bounces_when_forced_without_attribute(struct kunit *test)
{
	force_bounce(test->priv);

	expect_bounced(test);
}

static void no_attribute_lifts_refusal(struct kunit *test)
{
	scatter_buffer(test);

	expect_refused_with(test, DMA_ATTR_SKIP_CPU_SYNC);
	expect_refused_with(test, DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN |
			    DMA_ATTR_WEAK_ORDERING | DMA_ATTR_PRIVILEGED |
			    DMA_ATTR_DEBUGGING_IGNORE_CACHELINES);
}

static void refusal_does_not_depend_on_earlier_mappings(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;

	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
	force_bounce(ctx);
	expect_refused(test);
	expect_bounced(test);
	expect_refused(test);
	ctx->dev->dma_io_tlb_mem->force_bounce = ctx->force_bounce;
	expect_in_place_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

/* An error that is no refusal, and is not taken for one. */
static void list_without_attribute_fails_if_no_slot_is_left(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct io_tlb_mem *mem = ctx->dev->dma_io_tlb_mem, *no_slots;
	struct scatterlist sg;
	struct sg_table sgt = { .sgl = &sg, .nents = 1, .orig_nents = 1 };
	int ret;

	no_slots = kunit_dma_empty_pool(test, true);
	sg_init_table(&sg, 1);
	sg_set_page(&sg, ctx->pages, PAGE_SIZE, 0);

	ctx->dev->dma_io_tlb_mem = no_slots;
	ret = dma_map_sgtable(ctx->dev, &sgt, DMA_BIDIRECTIONAL, 0);
	ctx->dev->dma_io_tlb_mem = mem;
	KUNIT_EXPECT_EQ(test, -EIO, ret);

	/* It can be mapped again when there are slots. */
	KUNIT_ASSERT_EQ(test, 0, dma_map_sgtable(ctx->dev, &sgt,
						 DMA_BIDIRECTIONAL, 0));
	dma_unmap_sgtable(ctx->dev, &sgt, DMA_BIDIRECTIONAL, 0);
}

/* MMIO cannot be bounced. Without the attribute there is a warning instead. */
static void refuses_mmio_above_dma_mask(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;
	struct kunit_dma_usage before;

	if (dma_set_mask(ctx->dev, DMA_BIT_MASK(32)))
		kunit_skip(test, "the SWIOTLB pool is beyond a 32-bit DMA mask");

	before = kunit_dma_usage(ctx->dev);
	ctx->attrs = DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT;
	ctx->addr = dma_map_phys(ctx->dev, BIT_ULL(40), PAGE_SIZE,
				 DMA_BIDIRECTIONAL, ctx->attrs);
	KUNIT_EXPECT_NE(test, dma_mapping_error(ctx->dev, ctx->addr), 0);
	KUNIT_EXPECT_EQ(test, ctx->refused, 1);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void maps_mmio_within_dma_mask(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx = test->priv;

	ctx->attrs = DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT;
	ctx->addr = dma_map_phys(ctx->dev, BIT_ULL(40), PAGE_SIZE,
				 DMA_BIDIRECTIONAL, ctx->attrs);
	KUNIT_ASSERT_EQ(test, dma_mapping_error(ctx->dev, ctx->addr), 0);
	KUNIT_EXPECT_EQ(test, ctx->addr, BIT_ULL(40));
	dma_unmap_phys(ctx->dev, ctx->addr, PAGE_SIZE, DMA_BIDIRECTIONAL,
		       ctx->attrs);
}

/* The highest machine address of the host counts, not what the domain has. */

static const struct promise_param {
	const char *desc;
	unsigned int bits;
	bool force;
	bool window;
	int limit;		/* of the bus, from the first page there is not */
	bool promised;
} promise_params[] = {
	{ "64 bits", .bits = 64, .promised = true },
	{ "32 bits, less than the host has", .bits = 32 },
	{ "bus limit at the last byte", .bits = 64, .limit = PAGE_SIZE - 1,
	  .promised = true },
	{ "bus limit one byte before", .bits = 64, .limit = PAGE_SIZE - 2 },
	{ "forced bounce", .bits = 64, .force = true },
	{ "a window of the bus", .bits = 64, .window = true },
};

KUNIT_ARRAY_PARAM_DESC(promise, promise_params, desc);

static void promises_what_every_machine_page_allows(struct kunit *test)
{
	/* Of all memory; but whoever looks at the highest address alone cannot know. */
	static const struct bus_dma_region window[] = {
		{ .size = BIT_ULL(52) },
		{}
	};
	const struct promise_param *param = test->param_value;
	struct swiotlb_xen_ctx *ctx = test->priv;

	if (param->bits < 64)
		use_page_beyond(test, DMA_BIT_MASK(param->bits));
	if (param->force)
		force_bounce(ctx);
	if (param->window)
		ctx->dev->dma_range_map = window;
	if (param->limit)
		ctx->dev->bus_dma_limit = param->limit + XEN_PAGE_SIZE *
			(u64)HYPERVISOR_memory_op(XENMEM_maximum_ram_page, NULL);

	KUNIT_EXPECT_EQ(test, dma_require_coherent_supported(ctx->dev),
			param->promised);
	/* Or else device_release() frees it. */
	ctx->dev->dma_range_map = NULL;
}

/* Set-up */

static void restore_force_bounce(void *data)
{
	struct swiotlb_xen_ctx *ctx = data;

	ctx->dev->dma_io_tlb_mem->force_bounce = ctx->force_bounce;
}

static struct page *alloc_buffer(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO, BUFFER_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   free_pages_action,
							   page));
	make_contiguous(test, page, BUFFER_ORDER);

	return page;
}

static int swiotlb_xen_init(struct kunit *test)
{
	struct swiotlb_xen_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->dev = kunit_device_register(test, "swiotlb-xen-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dev);
	if (get_dma_ops(ctx->dev) != &xen_swiotlb_dma_ops)
		kunit_skip(test, "needs a PV domain with PCI devices under Xen");
	if (is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "swiotlb=force hides every other obstacle");
	KUNIT_ASSERT_EQ(test, 0, dma_coerce_mask_and_coherent(ctx->dev,
							      DMA_BIT_MASK(64)));

	ctx->force_bounce = ctx->dev->dma_io_tlb_mem->force_bounce;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   restore_force_bounce,
							   ctx));
	ctx->pages = alloc_buffer(test);
	ctx->around = alloc_buffer(test);
	ctx->size = BUFFER_SIZE;
	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);

	return 0;
}

static struct kunit_case swiotlb_xen_cases[] = {
	KUNIT_CASE_PARAM(maps_contiguous_machine_pages, interface_gen_params),
	KUNIT_CASE_PARAM(maps_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_discontiguous_machine_pages, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_discontiguous_machine_pages_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(maps_one_of_discontiguous_machine_pages, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_machine_page_above_dma_mask, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_machine_page_above_dma_mask_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(refuses_when_bounce_is_forced, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_when_forced_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(no_attribute_lifts_refusal, interface_gen_params),
	KUNIT_CASE_PARAM(refusal_does_not_depend_on_earlier_mappings, interface_gen_params),
	KUNIT_CASE(list_without_attribute_fails_if_no_slot_is_left),
	KUNIT_CASE(refuses_mmio_above_dma_mask),
	KUNIT_CASE(maps_mmio_within_dma_mask),
	KUNIT_CASE_PARAM(promises_what_every_machine_page_allows, promise_gen_params),
	{}
};

static struct kunit_suite swiotlb_xen_suite = {
	.name = "swiotlb_xen",
	.init = swiotlb_xen_init,
	.test_cases = swiotlb_xen_cases,
};

kunit_test_suite(swiotlb_xen_suite);

MODULE_DESCRIPTION("KUnit tests for DMA_ATTR_REQUIRE_COHERENT under Xen");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for DMA_ATTR_REQUIRE_COHERENT behind an IOMMU.
 *
 * The tests map for PCI devices without a driver that are translated by a real
 * IOMMU: QEMU's edu, and for peer-to-peer memory its ivshmem-plain, which has
 * a memory BAR. Every obstacle is something a platform can do: the device is
 * not trusted, which the kernel decides from the firmware's description of the
 * port; it is not cache-coherent; a bounce buffer is not to be had.
 *
 *	granule |    page    |    page    | ...
 *	buffer      |-----------------|            start and end lie inside of one
 *
 * Each obstacle is tried with the attribute, which refuses the mapping and
 * must not consume anything, and without, where nothing changes (the mirror
 * case). What really is mapped is read back from the IOMMU's page table.
 *
 * The buffers are larger than what the allocator of I/O virtual addresses
 * keeps in its caches, so that a range which is not freed is missed.
 */

#include <kunit/dma.h>
#include <kunit/override.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#define BUFFER_ORDER	6

/* More than the allocator caches, less than SWIOTLB can bounce in one piece. */
#define MAPPED_SIZE	(40 * PAGE_SIZE)

#define NR_ENTRIES	3

enum interface {
	MAP_PHYS,
	MAP_PAGE,
	MAP_SINGLE,
	MAP_SG,
	MAP_SGTABLE,
	IOVA_LINK,
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
	{ "dma_iova_link", IOVA_LINK },
};

KUNIT_ARRAY_PARAM_DESC(interface, interface_params, desc);

/* One buffer, and how the attempt to map it ended. */
struct mapping {
	enum interface interface;
	unsigned long attrs;
	phys_addr_t phys;
	size_t size;
	unsigned int entry;		/* of the scatterlist, for the buffer */
	struct sg_table sgt;		/* MAP_SG and MAP_SGTABLE */
	struct dma_iova_state state;	/* IOVA_LINK */
	dma_addr_t addr;		/* the others */
	int ret;			/* 0, or what was returned instead */
};

struct dma_iommu_ctx {
	struct pci_dev *pdev;
	struct device *dev;
	struct page *pages;		/* for the buffer */
	struct page *around[NR_ENTRIES - 1];
	struct mapping map;
	struct io_tlb_mem *no_slots;
	struct kunit_dma_settings settings;	/* to go back to */
	struct pci_dev *peer;
	struct kunit_dma_settings peer_settings;
	unsigned int refused;		/* trace events since map_buffer() */
	unsigned int bounced;
	unsigned int iommu_maps;
	struct kunit_calls calls;	/* counted, and one may fail */
	struct kunit_calls for_cpu;	/* cache maintenance */
};

/* Tracepoints */

static void saw_map_phys(void *data, struct device *dev, phys_addr_t phys,
			 dma_addr_t addr, size_t size,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct dma_iommu_ctx *ctx = data;

	if (dev == ctx->dev && addr == DMA_MAPPING_ERROR &&
	    attrs == ctx->map.attrs)
		ctx->refused++;
}

static void saw_map_sg_err(void *data, struct device *dev,
			   struct scatterlist *sgl, int nents, int err,
			   enum dma_data_direction dir, unsigned long attrs)
{
	struct dma_iommu_ctx *ctx = data;

	if (dev == ctx->dev && err == -EOPNOTSUPP && attrs == ctx->map.attrs)
		ctx->refused++;
}

static void saw_bounce(void *data, struct device *dev, dma_addr_t addr,
		       size_t size)
{
	struct dma_iommu_ctx *ctx = data;

	if (dev == ctx->dev)
		ctx->bounced++;
}

static void saw_iommu_map(void *data, unsigned long iova, phys_addr_t paddr,
			  size_t size)
{
	struct dma_iommu_ctx *ctx = data;

	ctx->iommu_maps++;
}

static const struct kunit_probe probes[] = {
	{ "dma_map_phys", saw_map_phys },
	{ "dma_map_sg_err", saw_map_sg_err },
	{ "swiotlb_bounced", saw_bounce },
	{ "map", saw_iommu_map },
};

/* The device and its obstacles */

static void distrust_device(struct dma_iommu_ctx *ctx)
{
	ctx->pdev->untrusted = true;
}

static void set_coherent(struct kunit *test, bool coherent)
{
	struct dma_iommu_ctx *ctx = test->priv;

	kunit_dma_set_coherent(ctx->dev, coherent);
	kunit_dma_skip_unless_coherent(test, ctx->dev, coherent);
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(ctx->dev,
							   DMA_BIT_MASK(64)));
}

/* Nothing can be bounced any more. */
static void take_slots_away(struct dma_iommu_ctx *ctx)
{
	ctx->dev->dma_io_tlb_mem = ctx->no_slots;
}

static void give_slots_back(struct dma_iommu_ctx *ctx)
{
	ctx->dev->dma_io_tlb_mem = ctx->settings.io_tlb_mem;
}

static phys_addr_t translate(struct dma_iommu_ctx *ctx, dma_addr_t addr)
{
	return iommu_iova_to_phys(iommu_get_domain_for_dev(ctx->dev), addr);
}

/* Mapping */

static bool is_scatterlist(const struct mapping *map)
{
	return map->interface == MAP_SG || map->interface == MAP_SGTABLE;
}

static void use_buffer(struct dma_iommu_ctx *ctx, size_t offset, size_t size)
{
	ctx->map.phys = page_to_phys(ctx->pages) + offset;
	ctx->map.size = size;
}

/* Build the scatterlist: the buffer, and whole pages around it. */
static void prepare_sgt(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	unsigned int around = 0;
	struct scatterlist *sg;
	int i;

	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&map->sgt, NR_ENTRIES,
						GFP_KERNEL));

	for_each_sgtable_sg(&map->sgt, sg, i) {
		if (i == map->entry)
			sg_set_page(sg, phys_to_page(map->phys), map->size,
				    offset_in_page(map->phys));
		else
			sg_set_page(sg, ctx->around[around++], MAPPED_SIZE, 0);
	}
}

static void free_sgt(struct mapping *map)
{
	if (is_scatterlist(map))
		sg_free_table(&map->sgt);
}

static void map_buffer(struct kunit *test, unsigned long attrs)
{
	const struct interface_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	struct device *dev = ctx->dev;
	void *buf = phys_to_virt(map->phys);

	map->interface = param ? param->interface : MAP_PHYS;
	map->attrs = attrs;
	map->ret = 0;
	if (is_scatterlist(map))
		prepare_sgt(test);
	if (map->interface == IOVA_LINK)
		KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(dev, &map->state,
							   map->phys,
							   max(map->size,
							       MAPPED_SIZE)));

	ctx->refused = 0;
	ctx->bounced = 0;
	ctx->iommu_maps = 0;

	switch (map->interface) {
	case MAP_PHYS:
		map->addr = dma_map_phys(dev, map->phys, map->size,
					 DMA_BIDIRECTIONAL, attrs);
		break;
	case MAP_PAGE:
		map->addr = dma_map_page_attrs(dev, virt_to_page(buf),
					       offset_in_page(buf), map->size,
					       DMA_BIDIRECTIONAL, attrs);
		break;
	case MAP_SINGLE:
		map->addr = dma_map_single_attrs(dev, buf, map->size,
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
	case IOVA_LINK:
		map->ret = dma_iova_link(dev, &map->state, map->phys, 0,
					 map->size, DMA_BIDIRECTIONAL, attrs);
		if (!map->ret)
			map->ret = dma_iova_sync(dev, &map->state, 0, map->size);
		map->addr = map->state.addr;
		return;
	}

	if (dma_mapping_error(dev, map->addr))
		map->ret = -EIO;
}

/* The same attributes as when mapping: that is part of the contract. */
static void unmap_buffer(struct dma_iommu_ctx *ctx)
{
	struct mapping *map = &ctx->map;
	struct device *dev = ctx->dev;

	if (map->ret) {
		if (map->interface == IOVA_LINK)
			dma_iova_free(dev, &map->state);
		free_sgt(map);
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
	case IOVA_LINK:
		dma_iova_destroy(dev, &map->state, map->size,
				 DMA_BIDIRECTIONAL, map->attrs);
		break;
	}
	free_sgt(map);
}

/* Return the address under which the device sees a byte of the scatterlist. */
static dma_addr_t sgt_dma_addr(struct sg_table *sgt, size_t pos)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (pos < sg_dma_len(sg))
			return sg_dma_address(sg) + pos;
		pos -= sg_dma_len(sg);
	}

	return DMA_MAPPING_ERROR;
}

/* What the device reaches under the address of the first and the last byte. */
static void expect_in_place(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	struct scatterlist *sg;
	size_t pos = 0;
	int i;

	if (!is_scatterlist(map)) {
		KUNIT_EXPECT_EQ(test, map->phys, translate(ctx, map->addr));
		KUNIT_EXPECT_EQ(test, map->phys + map->size - 1,
				translate(ctx, map->addr + map->size - 1));
		return;
	}

	for_each_sgtable_sg(&map->sgt, sg, i) {
		KUNIT_EXPECT_EQ_MSG(test, sg_phys(sg),
				    translate(ctx, sgt_dma_addr(&map->sgt, pos)),
				    "first byte of entry %d", i);
		pos += sg->length;
		KUNIT_EXPECT_EQ_MSG(test, sg_phys(sg) + sg->length - 1,
				    translate(ctx, sgt_dma_addr(&map->sgt, pos - 1)),
				    "last byte of entry %d", i);
	}
}

/* The CPU's side of the list is what it was, for whoever tries otherwise. */
static void expect_unmapped_list(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	struct scatterlist *sg;
	int i;

	for_each_sgtable_sg(&map->sgt, sg, i) {
		KUNIT_EXPECT_EQ_MSG(test, sg->length,
				    i == map->entry ? map->size : MAPPED_SIZE,
				    "entry %d", i);
		KUNIT_EXPECT_EQ_MSG(test, sg->offset, i == map->entry ?
				    offset_in_page(map->phys) : 0, "entry %d", i);
	}
}

static void expect_refused_with(struct kunit *test, unsigned long attrs)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct mapping *map = &ctx->map;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);

	map_buffer(test, attrs | DMA_ATTR_REQUIRE_COHERENT);

	KUNIT_EXPECT_EQ_MSG(test, map->ret,
			    map->interface == MAP_SGTABLE ||
			    map->interface == IOVA_LINK ? -EOPNOTSUPP : -EIO,
			    "with attributes %#lx", map->attrs);
	KUNIT_EXPECT_EQ_MSG(test, ctx->iommu_maps, 0,
			    "a refusal has mapped something first");
	KUNIT_EXPECT_EQ_MSG(test, ctx->bounced, 0,
			    "a refusal tried to bounce");
	KUNIT_EXPECT_EQ_MSG(test, ctx->refused, 1,
			    "a refusal was not traced once with its attributes");
	if (is_scatterlist(map))
		expect_unmapped_list(test);

	unmap_buffer(ctx);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void expect_refused(struct kunit *test)
{
	expect_refused_with(test, 0);
}

static void expect_bounced(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);

	map_buffer(test, 0);
	KUNIT_EXPECT_EQ(test, ctx->map.ret, 0);
	KUNIT_EXPECT_GT(test, ctx->bounced, 0);
	unmap_buffer(ctx);

	/* A small range may stay in the allocator's cache. */
	if (ctx->map.size < MAPPED_SIZE / 2)
		before.iova = kunit_dma_usage(ctx->dev).iova;
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void expect_mapped_with(struct kunit *test, unsigned long attrs)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);

	map_buffer(test, attrs);
	KUNIT_EXPECT_EQ_MSG(test, ctx->map.ret, 0, "with attributes %#lx", attrs);
	KUNIT_EXPECT_EQ(test, ctx->bounced, 0);
	KUNIT_EXPECT_EQ(test, ctx->refused, 0);
	if (!ctx->map.ret)
		expect_in_place(test);
	unmap_buffer(ctx);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Nothing in the way: trusted and coherent, or aligned */

static void maps_unaligned_buffer_of_trusted_device(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;

	use_buffer(ctx, 100, MAPPED_SIZE);

	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

static void maps_without_attribute(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;

	use_buffer(ctx, 100, MAPPED_SIZE);

	expect_mapped_with(test, 0);
}

static void maps_whole_pages_of_untrusted_device(struct kunit *test)
{
	distrust_device(test->priv);

	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT);
}

static void maps_whole_pages_of_untrusted_device_without_attribute(struct kunit *test)
{
	distrust_device(test->priv);

	expect_mapped_with(test, 0);
}

/* An edge that shares its granule with what an untrusted device must not see */

static const struct edge_param {
	struct interface_param interface;
	size_t offset;
	size_t size;
} edge_params[] = {
	{ { "start, dma_map_phys", MAP_PHYS }, 512, MAPPED_SIZE - 512 },
	{ { "start, dma_map_page_attrs", MAP_PAGE }, 512, MAPPED_SIZE - 512 },
	{ { "start, dma_map_single_attrs", MAP_SINGLE }, 512, MAPPED_SIZE - 512 },
	{ { "start, dma_map_sg_attrs", MAP_SG }, 512, MAPPED_SIZE - 512 },
	{ { "start, dma_map_sgtable", MAP_SGTABLE }, 512, MAPPED_SIZE - 512 },
	{ { "start, dma_iova_link", IOVA_LINK }, 512, MAPPED_SIZE - 512 },
	{ { "end, dma_map_phys", MAP_PHYS }, 0, MAPPED_SIZE + 1 },
	{ { "end, dma_map_sgtable", MAP_SGTABLE }, 0, MAPPED_SIZE + 1 },
	{ { "end, dma_iova_link", IOVA_LINK }, 0, MAPPED_SIZE + 1 },
	{ { "both, dma_map_phys", MAP_PHYS }, 1, MAPPED_SIZE },
	{ { "both, dma_map_sgtable", MAP_SGTABLE }, 1, MAPPED_SIZE },
	{ { "both, dma_iova_link", IOVA_LINK }, 1, MAPPED_SIZE },
	{ { "inside one page, dma_map_phys", MAP_PHYS }, 512, 512 },
	{ { "inside one page, dma_map_sgtable", MAP_SGTABLE }, 512, 512 },
	{ { "inside one page, dma_iova_link", IOVA_LINK }, 512, 512 },
	{ { "less than one page, dma_iova_link", IOVA_LINK }, 0, 512 },
};

KUNIT_ARRAY_PARAM_DESC(edge, edge_params, interface.desc);

static void share_edge_with_untrusted_device(struct kunit *test)
{
	const struct edge_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;

	distrust_device(ctx);
	use_buffer(ctx, param->offset, param->size);
}

static void refuses_unaligned_edge_of_untrusted_device(struct kunit *test)
{
	share_edge_with_untrusted_device(test);

	expect_refused(test);
}

static void bounces_unaligned_edge_without_attribute(struct kunit *test)
{
	share_edge_with_untrusted_device(test);

	expect_bounced(test);
}

/* One entry of a scatterlist suffices, wherever it stands. */

static const struct entry_param {
	struct interface_param interface;
	unsigned int entry;
} entry_params[] = {
	{ { "first entry, dma_map_sg_attrs", MAP_SG }, 0 },
	{ { "second entry, dma_map_sg_attrs", MAP_SG }, 1 },
	{ { "last entry, dma_map_sg_attrs", MAP_SG }, NR_ENTRIES - 1 },
	{ { "first entry, dma_map_sgtable", MAP_SGTABLE }, 0 },
	{ { "second entry, dma_map_sgtable", MAP_SGTABLE }, 1 },
	{ { "last entry, dma_map_sgtable", MAP_SGTABLE }, NR_ENTRIES - 1 },
};

KUNIT_ARRAY_PARAM_DESC(entry, entry_params, interface.desc);

static void refuses_scatterlist_for_any_one_entry(struct kunit *test)
{
	const struct entry_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;

	distrust_device(ctx);
	use_buffer(ctx, 0, MAPPED_SIZE - 1);
	ctx->map.entry = param->entry;

	expect_refused(test);
}

static void bounces_any_one_entry_without_attribute(struct kunit *test)
{
	const struct entry_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;

	distrust_device(ctx);
	use_buffer(ctx, 0, MAPPED_SIZE - 1);
	ctx->map.entry = param->entry;

	expect_bounced(test);
}

/* A device that is not cache-coherent */

static void refuses_when_device_is_not_coherent(struct kunit *test)
{
	set_coherent(test, false);

	expect_refused(test);
}

/* Such a device has its lists mapped entry by entry. */
static void refuses_when_untrusted_device_is_not_coherent(struct kunit *test)
{
	set_coherent(test, false);
	distrust_device(test->priv);

	expect_refused(test);
}

static void maps_for_noncoherent_device_without_attribute(struct kunit *test)
{
	set_coherent(test, false);

	expect_mapped_with(test, 0);
}

/* For the device when mapping, and for the CPU when unmapping. */
static void expect_cache_maintenance(struct kunit *test, unsigned long attrs,
				     bool expected)
{
	struct dma_iommu_ctx *ctx = test->priv;

	set_coherent(test, false);
	kunit_override_nth(test, &ctx->calls, "arch_sync_dma_for_device", 0);
	kunit_override_nth(test, &ctx->for_cpu, "arch_sync_dma_for_cpu", 0);

	kunit_begin_calls(&ctx->calls, 0);
	kunit_begin_calls(&ctx->for_cpu, 0);
	expect_mapped_with(test, attrs);
	kunit_end_calls(&ctx->for_cpu);
	kunit_end_calls(&ctx->calls);

	KUNIT_EXPECT_EQ(test, ctx->calls.nr > 0, expected);
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

/* A kmalloc() buffer that shares cachelines with other data */

static void use_small_kmalloc_buffer(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	void *buf;

	set_coherent(test, false);
	buf = kunit_kzalloc(test, 8, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	if (!dma_kmalloc_needs_bounce(ctx->dev, 8, DMA_BIDIRECTIONAL))
		kunit_skip(test, "kmalloc() aligns every buffer for DMA here");

	ctx->map.phys = virt_to_phys(buf);
	ctx->map.size = 8;
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
	{ { "SKIP_CPU_SYNC, dma_map_phys", MAP_PHYS }, DMA_ATTR_SKIP_CPU_SYNC },
	{ { "SKIP_CPU_SYNC, dma_map_sgtable", MAP_SGTABLE }, DMA_ATTR_SKIP_CPU_SYNC },
	{ { "SKIP_CPU_SYNC, dma_iova_link", IOVA_LINK }, DMA_ATTR_SKIP_CPU_SYNC },
	{ { "NO_WARN, dma_map_phys", MAP_PHYS }, DMA_ATTR_NO_WARN },
	{ { "WEAK_ORDERING, dma_map_phys", MAP_PHYS }, DMA_ATTR_WEAK_ORDERING },
	{ { "PRIVILEGED, dma_map_phys", MAP_PHYS }, DMA_ATTR_PRIVILEGED },
	{ { "all of these, dma_map_phys", MAP_PHYS },
	  DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN | DMA_ATTR_WEAK_ORDERING |
	  DMA_ATTR_PRIVILEGED | DMA_ATTR_DEBUGGING_IGNORE_CACHELINES },
	{ { "all of these, dma_map_sgtable", MAP_SGTABLE },
	  DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN | DMA_ATTR_WEAK_ORDERING |
	  DMA_ATTR_PRIVILEGED | DMA_ATTR_DEBUGGING_IGNORE_CACHELINES },
	{ { "all of these, dma_iova_link", IOVA_LINK },
	  DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN | DMA_ATTR_WEAK_ORDERING |
	  DMA_ATTR_PRIVILEGED | DMA_ATTR_DEBUGGING_IGNORE_CACHELINES },
};

KUNIT_ARRAY_PARAM_DESC(attrs, attrs_params, interface.desc);

static void no_attribute_lifts_refusal_of_bounce(struct kunit *test)
{
	const struct attrs_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;

	distrust_device(ctx);
	use_buffer(ctx, 1, MAPPED_SIZE);

	expect_refused_with(test, param->attrs);
}

static void no_attribute_lifts_refusal_of_noncoherent_device(struct kunit *test)
{
	const struct attrs_param *param = test->param_value;

	set_coherent(test, false);

	expect_refused_with(test, param->attrs);
}

static void other_attributes_do_not_cause_refusal(struct kunit *test)
{
	const struct attrs_param *param = test->param_value;

	expect_mapped_with(test, param->attrs | DMA_ATTR_REQUIRE_COHERENT);
}

/* MMIO is never cached, and never bounced either. */

static void use_mmio(struct dma_iommu_ctx *ctx, size_t offset, size_t size)
{
	ctx->map.phys = pci_resource_start(ctx->pdev, 0) + offset;
	ctx->map.size = size;
}

static const struct interface_param mmio_params[] = {
	{ "dma_map_phys", MAP_PHYS },
	{ "dma_iova_link", IOVA_LINK },
};

KUNIT_ARRAY_PARAM_DESC(mmio, mmio_params, desc);

static void maps_mmio_for_noncoherent_device(struct kunit *test)
{
	set_coherent(test, false);
	use_mmio(test->priv, 0, SZ_256K);

	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_MMIO);
}

static void maps_mmio_for_coherent_device(struct kunit *test)
{
	use_mmio(test->priv, 0, SZ_256K);

	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_MMIO);
}

/* Refused or mapped, it must not depend on which interface a driver got to use. */
static void interfaces_agree_on_unaligned_mmio_of_untrusted_device(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	dma_addr_t addr;

	distrust_device(ctx);
	use_mmio(ctx, 512, SZ_256K);
	addr = dma_map_phys(ctx->dev, ctx->map.phys, ctx->map.size,
			    DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
	if (dma_mapping_error(ctx->dev, addr)) {
		expect_refused_with(test, DMA_ATTR_MMIO);
		return;
	}

	dma_unmap_phys(ctx->dev, addr, ctx->map.size, DMA_BIDIRECTIONAL,
		       DMA_ATTR_MMIO);
	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_MMIO);
}

/* An IOVA state of which a part has bounced */

static void link_bounced_part(struct kunit *test, struct dma_iova_state *state)
{
	struct dma_iommu_ctx *ctx = test->priv;

	distrust_device(ctx);
	KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(ctx->dev, state, 0,
						   2 * MAPPED_SIZE));
	KUNIT_ASSERT_EQ(test, 0,
			dma_iova_link(ctx->dev, state, page_to_phys(ctx->pages), 0,
				      MAPPED_SIZE - 512, DMA_BIDIRECTIONAL, 0));
}

static void link_refuses_state_that_has_bounced(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct dma_iova_state state;

	link_bounced_part(test, &state);
	ctx->map.attrs = DMA_ATTR_REQUIRE_COHERENT;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			dma_iova_link(ctx->dev, &state,
				      page_to_phys(ctx->around[0]), MAPPED_SIZE,
				      MAPPED_SIZE, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT));
	KUNIT_EXPECT_EQ(test, ctx->refused, 1);
	KUNIT_EXPECT_EQ(test, 0, translate(ctx, state.addr + MAPPED_SIZE));
	dma_iova_destroy(ctx->dev, &state, MAPPED_SIZE - 512,
			 DMA_BIDIRECTIONAL, 0);
}

static void link_takes_state_that_has_bounced_without_attribute(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct dma_iova_state state;

	link_bounced_part(test, &state);
	KUNIT_EXPECT_EQ(test, 0,
			dma_iova_link(ctx->dev, &state,
				      page_to_phys(ctx->around[0]), MAPPED_SIZE,
				      MAPPED_SIZE, DMA_BIDIRECTIONAL, 0));
	KUNIT_EXPECT_EQ(test, page_to_phys(ctx->around[0]),
			translate(ctx, state.addr + MAPPED_SIZE));
	dma_iova_destroy(ctx->dev, &state, 2 * MAPPED_SIZE, DMA_BIDIRECTIONAL,
			 0);
}

/* A refusal leaves what is already linked alone, and is forgotten. */
static void link_refusal_leaves_rest_of_state_alone(struct kunit *test)
{
	struct kunit_dma_usage before;
	struct dma_iommu_ctx *ctx = test->priv;
	phys_addr_t phys = page_to_phys(ctx->pages);
	struct dma_iova_state state;

	distrust_device(ctx);
	before = kunit_dma_usage(ctx->dev);
	KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(ctx->dev, &state, 0,
						   2 * MAPPED_SIZE));
	KUNIT_ASSERT_EQ(test, 0,
			dma_iova_link(ctx->dev, &state, phys, 0, MAPPED_SIZE,
				      DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			dma_iova_link(ctx->dev, &state,
				      page_to_phys(ctx->around[0]), MAPPED_SIZE,
				      MAPPED_SIZE - 512, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT));
	KUNIT_EXPECT_EQ(test, phys, translate(ctx, state.addr));
	KUNIT_EXPECT_EQ(test, 0,
			dma_iova_link(ctx->dev, &state,
				      page_to_phys(ctx->around[0]), MAPPED_SIZE,
				      MAPPED_SIZE, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT));
	KUNIT_EXPECT_EQ(test, page_to_phys(ctx->around[0]),
			translate(ctx, state.addr + MAPPED_SIZE));
	dma_iova_destroy(ctx->dev, &state, 2 * MAPPED_SIZE, DMA_BIDIRECTIONAL,
			 DMA_ATTR_REQUIRE_COHERENT);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* A refusal must not spoil what comes after it, nor depend on what was before. */

static void refusal_does_not_depend_on_earlier_mappings(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;

	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT);
	distrust_device(ctx);
	use_buffer(ctx, 1, MAPPED_SIZE);
	expect_refused(test);
	expect_bounced(test);
	expect_refused(test);
	use_buffer(ctx, 0, MAPPED_SIZE);
	expect_mapped_with(test, DMA_ATTR_REQUIRE_COHERENT);
	expect_mapped_with(test, 0);
}

/* IOVA states that are undone half way */

static void failed_bounce_unlinks_only_its_own_part(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	phys_addr_t phys = page_to_phys(ctx->pages);
	struct kunit_dma_usage before;
	struct dma_iova_state state;

	distrust_device(ctx);
	before = kunit_dma_usage(ctx->dev);
	KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(ctx->dev, &state, 0,
						   2 * MAPPED_SIZE));
	KUNIT_ASSERT_EQ(test, 0,
			dma_iova_link(ctx->dev, &state, phys, 0, MAPPED_SIZE,
				      DMA_BIDIRECTIONAL, 0));

	/* The middle can be linked in place, the tail cannot be bounced. */
	take_slots_away(ctx);
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			dma_iova_link(ctx->dev, &state,
				      page_to_phys(ctx->around[0]), MAPPED_SIZE,
				      MAPPED_SIZE - 512, DMA_BIDIRECTIONAL, 0));
	give_slots_back(ctx);

	KUNIT_EXPECT_EQ(test, phys, translate(ctx, state.addr));
	KUNIT_EXPECT_EQ(test, 0, translate(ctx, state.addr + MAPPED_SIZE));

	/* Nothing of the state has bounced. */
	KUNIT_EXPECT_EQ(test, 0,
			dma_iova_link(ctx->dev, &state,
				      page_to_phys(ctx->around[0]), MAPPED_SIZE,
				      MAPPED_SIZE, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT));
	dma_iova_unlink(ctx->dev, &state, MAPPED_SIZE, MAPPED_SIZE,
			DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);

	/* Not what is gone already, should it be. */
	if (translate(ctx, state.addr) == phys)
		dma_iova_destroy(ctx->dev, &state, MAPPED_SIZE,
				 DMA_BIDIRECTIONAL, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void failed_bounce_of_only_part_unlinks_nothing(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	struct dma_iova_state state;

	distrust_device(ctx);
	before = kunit_dma_usage(ctx->dev);
	KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(ctx->dev, &state, 0,
						   MAPPED_SIZE));
	ctx->iommu_maps = 0;
	take_slots_away(ctx);
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			dma_iova_link(ctx->dev, &state, page_to_phys(ctx->pages),
				      0, 512, DMA_BIDIRECTIONAL, 0));
	give_slots_back(ctx);

	KUNIT_EXPECT_EQ_MSG(test, ctx->iommu_maps, 0,
			    "the IOMMU was asked to map 0 bytes");
	dma_iova_free(ctx->dev, &state);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static const struct earlier_param {
	const char *desc;
	size_t earlier;
} earlier_params[] = {
	{ "nothing bounced before", MAPPED_SIZE },
	{ "bounced before", MAPPED_SIZE - 512 },
};

KUNIT_ARRAY_PARAM_DESC(earlier, earlier_params, desc);

static void failed_link_unlinks_only_its_own_part(struct kunit *test)
{
	const struct earlier_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;
	phys_addr_t phys = page_to_phys(ctx->pages);
	struct kunit_dma_usage before;
	struct dma_iova_state state;
	unsigned int nth;
	int ret;

	kunit_override_nth(test, &ctx->calls, "iommu_map_nosync", -ENOMEM);
	distrust_device(ctx);
	before = kunit_dma_usage(ctx->dev);
	KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(ctx->dev, &state, 0,
						   2 * MAPPED_SIZE));
	KUNIT_ASSERT_EQ(test, 0,
			dma_iova_link(ctx->dev, &state, phys, 0, param->earlier,
				      DMA_BIDIRECTIONAL, 0));

	/* What can be linked in place, and the tail in the bounce buffer. */
	for (nth = 1; nth <= 2; nth++) {
		kunit_begin_calls(&ctx->calls, nth);
		ret = dma_iova_link(ctx->dev, &state,
				    page_to_phys(ctx->around[0]), MAPPED_SIZE,
				    MAPPED_SIZE - 512, DMA_BIDIRECTIONAL, 0);
		kunit_end_calls(&ctx->calls);

		KUNIT_EXPECT_EQ(test, ctx->calls.nr, nth);
		KUNIT_EXPECT_EQ(test, -ENOMEM, ret);
		KUNIT_EXPECT_EQ(test, phys, translate(ctx, state.addr));
		KUNIT_EXPECT_EQ(test, 0,
				translate(ctx, state.addr + MAPPED_SIZE));
	}

	dma_iova_destroy(ctx->dev, &state, param->earlier, DMA_BIDIRECTIONAL, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static const struct destroy_param {
	const char *desc;
	size_t mapped_len;
} destroy_iova_params[] = {
	{ "nothing linked", 0 },
	{ "one page linked", PAGE_SIZE },
	{ "half linked", MAPPED_SIZE },
	{ "all but a page linked", 2 * MAPPED_SIZE - PAGE_SIZE },
	{ "all linked", 2 * MAPPED_SIZE },
};

KUNIT_ARRAY_PARAM_DESC(destroy_iova, destroy_iova_params, desc);

static void destroy_frees_whole_iova_range(struct kunit *test)
{
	const struct destroy_param *param = test->param_value;
	struct dma_iommu_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	struct dma_iova_state state;
	size_t part;

	KUNIT_ASSERT_TRUE(test, dma_iova_try_alloc(ctx->dev, &state, 0,
						   2 * MAPPED_SIZE));
	part = min(param->mapped_len, MAPPED_SIZE);
	if (part)
		KUNIT_EXPECT_EQ(test, 0,
				dma_iova_link(ctx->dev, &state,
					      page_to_phys(ctx->pages), 0, part,
					      DMA_BIDIRECTIONAL, 0));
	if (param->mapped_len > part)
		KUNIT_EXPECT_EQ(test, 0,
				dma_iova_link(ctx->dev, &state,
					      page_to_phys(ctx->around[0]), part,
					      param->mapped_len - part,
					      DMA_BIDIRECTIONAL, 0));
	dma_iova_destroy(ctx->dev, &state, param->mapped_len,
			 DMA_BIDIRECTIONAL, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Peer-to-peer memory, which a device reaches without its IOMMU */

KUNIT_DEFINE_ACTION_WRAPPER(pci_dev_put_action, pci_dev_put, struct pci_dev *);

static struct pci_dev *get_translated_device(struct kunit *test,
					     unsigned int vendor,
					     unsigned int device)
{
	struct pci_dev *pdev = pci_get_device(vendor, device, NULL);

	if (!pdev)
		kunit_skip(test, "needs a PCI device %04x:%04x", vendor, device);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   pci_dev_put_action,
							   pdev));
	if (!use_dma_iommu(&pdev->dev))
		kunit_skip(test, "the PCI device is not behind an IOMMU");

	return pdev;
}

#ifdef CONFIG_PCI_P2PDMA
static void release_p2pmem(void *data)
{
	struct dma_iommu_ctx *ctx = data;

	devres_release_group(&ctx->peer->dev, release_p2pmem);
	kunit_dma_apply(&ctx->peer->dev, &ctx->peer_settings);
}

static void bus_address_segment_is_mapped_by_itself(struct kunit *test)
{
	struct dma_iommu_ctx *ctx = test->priv;
	struct scatterlist sgl[2], *sg;
	struct pci_dev *pdev;
	struct sg_table sgt = { .sgl = sgl, .orig_nents = 2 };
	void *p2pmem;
	int ret;

	/* A device reaches its own memory without leaving its bus. */
	pdev = get_translated_device(test, PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110);
	ctx->peer = pdev;
	ctx->peer_settings = kunit_dma_settings(&pdev->dev);
	KUNIT_ASSERT_NOT_NULL(test, devres_open_group(&pdev->dev, release_p2pmem,
						      GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_p2pmem,
							   ctx));
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(&pdev->dev,
							   DMA_BIT_MASK(64)));
	dma_set_max_seg_size(&pdev->dev, SZ_1M);
	KUNIT_ASSERT_EQ(test, 0, pci_p2pdma_add_resource(pdev, 2, 0, 0));
	p2pmem = pci_alloc_p2pmem(pdev, PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, p2pmem);

	sg_init_table(sgl, ARRAY_SIZE(sgl));
	sg_set_page(&sgl[0], ctx->pages, MAPPED_SIZE, 0);
	sg_set_page(&sgl[1], virt_to_page(p2pmem), PAGE_SIZE, 0);

	ret = dma_map_sgtable(&pdev->dev, &sgt, DMA_BIDIRECTIONAL,
			      DMA_ATTR_REQUIRE_COHERENT);
	KUNIT_EXPECT_EQ(test, ret, 0);
	if (!ret) {
		KUNIT_EXPECT_EQ(test, sgt.nents, 2);
		sg = &sgl[1];
		KUNIT_EXPECT_TRUE(test, sg_dma_is_bus_address(sg));
		KUNIT_EXPECT_EQ(test, sg_dma_address(sg),
				pci_p2pmem_virt_to_bus(pdev, p2pmem));
		KUNIT_EXPECT_EQ(test, sg_dma_len(sg), PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, sg_dma_len(&sgl[0]), MAPPED_SIZE);
		dma_unmap_sgtable(&pdev->dev, &sgt, DMA_BIDIRECTIONAL,
				  DMA_ATTR_REQUIRE_COHERENT);
	}
	pci_free_p2pmem(pdev, p2pmem, PAGE_SIZE);
}
#else
static void bus_address_segment_is_mapped_by_itself(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_PCI_P2PDMA");
}
#endif /* CONFIG_PCI_P2PDMA */

/* Set-up */

static void free_buffer(void *data)
{
	__free_pages(data, BUFFER_ORDER);
}

static struct page *alloc_buffer(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO, BUFFER_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_buffer,
							   page));

	return page;
}

static void restore_device(void *data)
{
	struct dma_iommu_ctx *ctx = data;

	kunit_dma_apply(ctx->dev, &ctx->settings);
}

static int dma_iommu_init(struct kunit *test)
{
	struct dma_iommu_ctx *ctx;
	unsigned int i;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->pdev = get_translated_device(test, 0x1234, 0x11e8);
	ctx->dev = &ctx->pdev->dev;
	if (ctx->dev->driver)
		kunit_skip(test, "the PCI device has a driver");
	if (iommu_get_domain_for_dev(ctx->dev)->type != IOMMU_DOMAIN_DMA)
		kunit_skip(test, "addresses are freed later: boot with iommu.strict=1");

	ctx->no_slots = kunit_dma_empty_pool(test, false);
	ctx->settings = kunit_dma_settings(ctx->dev);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, restore_device,
							   ctx));

	ctx->pages = alloc_buffer(test);
	for (i = 0; i < ARRAY_SIZE(ctx->around); i++)
		ctx->around[i] = alloc_buffer(test);
	use_buffer(ctx, 0, MAPPED_SIZE);
	ctx->map.entry = 1;

	/* dma_iova_link() bounces the start of a buffer only for such devices. */
	dma_set_min_align_mask(ctx->dev, PAGE_SIZE - 1);
	dma_set_max_seg_size(ctx->dev, SZ_1M);
	ctx->pdev->untrusted = false;
	set_coherent(test, true);
	if (!ctx->settings.io_tlb_mem || !ctx->settings.io_tlb_mem->nslabs)
		kunit_skip(test, "SWIOTLB has no memory on this machine");
	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);

	return 0;
}

static struct kunit_case dma_iommu_cases[] = {
	KUNIT_CASE_PARAM(maps_unaligned_buffer_of_trusted_device, interface_gen_params),
	KUNIT_CASE_PARAM(maps_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(maps_whole_pages_of_untrusted_device, interface_gen_params),
	KUNIT_CASE_PARAM(maps_whole_pages_of_untrusted_device_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(refuses_unaligned_edge_of_untrusted_device, edge_gen_params),
	KUNIT_CASE_PARAM(bounces_unaligned_edge_without_attribute, edge_gen_params),
	KUNIT_CASE_PARAM(refuses_scatterlist_for_any_one_entry, entry_gen_params),
	KUNIT_CASE_PARAM(bounces_any_one_entry_without_attribute, entry_gen_params),
	KUNIT_CASE_PARAM(refuses_when_device_is_not_coherent, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_when_untrusted_device_is_not_coherent, interface_gen_params),
	KUNIT_CASE_PARAM(maps_for_noncoherent_device_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(maintains_caches_without_attribute,
			 interface_gen_params),
	KUNIT_CASE_PARAM(skips_cache_maintenance_for_driver_that_does_it, interface_gen_params),
	KUNIT_CASE_PARAM(refuses_small_kmalloc_buffer, interface_gen_params),
	KUNIT_CASE_PARAM(bounces_small_kmalloc_buffer_without_attribute, interface_gen_params),
	KUNIT_CASE_PARAM(no_attribute_lifts_refusal_of_bounce, attrs_gen_params),
	KUNIT_CASE_PARAM(no_attribute_lifts_refusal_of_noncoherent_device, attrs_gen_params),
	KUNIT_CASE_PARAM(other_attributes_do_not_cause_refusal, attrs_gen_params),
	KUNIT_CASE_PARAM(maps_mmio_for_noncoherent_device, mmio_gen_params),
	KUNIT_CASE_PARAM(maps_mmio_for_coherent_device, mmio_gen_params),
	KUNIT_CASE_PARAM(interfaces_agree_on_unaligned_mmio_of_untrusted_device,
			 mmio_gen_params),
	KUNIT_CASE(link_refuses_state_that_has_bounced),
	KUNIT_CASE(link_takes_state_that_has_bounced_without_attribute),
	KUNIT_CASE(link_refusal_leaves_rest_of_state_alone),
	KUNIT_CASE_PARAM(refusal_does_not_depend_on_earlier_mappings, interface_gen_params),
	KUNIT_CASE(failed_bounce_unlinks_only_its_own_part),
	KUNIT_CASE(failed_bounce_of_only_part_unlinks_nothing),
	KUNIT_CASE_PARAM(failed_link_unlinks_only_its_own_part, earlier_gen_params),
	KUNIT_CASE_PARAM(destroy_frees_whole_iova_range, destroy_iova_gen_params),
	KUNIT_CASE(bus_address_segment_is_mapped_by_itself),
	{}
};

static struct kunit_suite dma_iommu_suite = {
	.name = "dma_iommu",
	.init = dma_iommu_init,
	.test_cases = dma_iommu_cases,
};

kunit_test_suite(dma_iommu_suite);

MODULE_DESCRIPTION("KUnit tests for DMA_ATTR_REQUIRE_COHERENT behind an IOMMU");
MODULE_LICENSE("GPL");

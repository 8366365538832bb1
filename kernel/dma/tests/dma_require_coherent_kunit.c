// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for dma_require_coherent_supported(), and for what it promises.
 *
 * The answer is for all memory, so it is compared with what happens to pages
 * from all over the memory of the machine:
 *
 *	RAM |xx..x.....x......xx|   |xx....x.......xx|   ...
 *
 * of every range the first and the last ones that are not part of the kernel
 * image or the stack of the test, and some from within. Nobody accesses them; a
 * mapping with DMA_ATTR_REQUIRE_COHERENT does not, either.
 *
 * This works for every device of every machine: one that is mapped directly,
 * with the obstacles that a driver or a platform can put up, and a PCI device
 * behind an IOMMU or Xen, if there is one.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/ioport.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/task_stack.h>
#include <linux/swiotlb.h>
#include <asm/sections.h>

#define NR_SAMPLES	1024
#define EDGE_SAMPLES	4	/* at either end of a range of RAM */
#define INNER_SAMPLES	16

struct sample {
	phys_addr_t phys;
	bool refused;
	dma_addr_t addr;
};

struct require_coherent_ctx {
	struct device *dev;
	struct pci_dev *pdev;
	struct kunit_dma_settings settings;	/* of @pdev */
	unsigned int nr_samples;
	struct sample *samples;
	phys_addr_t last_page;		/* of RAM */
	unsigned int failed_allocations;	/* that were traced */
	const struct dma_map_ops *ops;	/* of the device */
	unsigned int ops_mappings;	/* by those of the test */
	int ops_error;			/* of those that map no list */
	unsigned int sg_errors;		/* that were traced */
};

/* Tracepoints */

static void saw_alloc(void *data, struct device *dev, void *virt_addr,
		      dma_addr_t dma_addr, size_t size,
		      enum dma_data_direction dir, gfp_t flags,
		      unsigned long attrs)
{
	struct require_coherent_ctx *ctx = data;

	if (dev == ctx->dev && !virt_addr && !dma_addr && size == PAGE_SIZE &&
	    attrs & DMA_ATTR_REQUIRE_COHERENT)
		ctx->failed_allocations++;
}

static void saw_map_sg_err(void *data, struct device *dev,
			   struct scatterlist *sgl, int nents, int err,
			   enum dma_data_direction dir, unsigned long attrs)
{
	struct require_coherent_ctx *ctx = data;

	if (dev == ctx->dev)
		ctx->sg_errors++;
}

static const struct kunit_probe probes[] = {
	{ "dma_alloc", saw_alloc },
	{ "dma_map_sg_err", saw_map_sg_err },
};

/* What keeps a device from sharing some memory coherently. */
enum obstacle {
	NOTHING,
	MASK,
	BUS_LIMIT,
	RAM_LIMIT,
	NOT_COHERENT,
	FORCED_BOUNCE,
	RANGE_MAP_HOLE,
	RANGE_MAP_PART,
	RANGE_MAP_HIGH,
	RANGE_MAP_ALL,
};

static const struct obstacle_param {
	const char *desc;
	enum obstacle obstacle;
	u64 limit;		/* for RAM_LIMIT, how many bytes below the last */
} obstacle_params[] = {
	{ "nothing", NOTHING },
	{ "DMA mask of 64 bits", MASK, DMA_BIT_MASK(64) },
	{ "DMA mask of 40 bits", MASK, DMA_BIT_MASK(40) },
	{ "DMA mask of 32 bits", MASK, DMA_BIT_MASK(32) },
	{ "DMA mask of 31 bits", MASK, DMA_BIT_MASK(31) },
	{ "DMA mask of 28 bits", MASK, DMA_BIT_MASK(28) },
	{ "bus limit of 48 bits", BUS_LIMIT, DMA_BIT_MASK(48) },
	{ "bus limit of 32 bits", BUS_LIMIT, DMA_BIT_MASK(32) },
	{ "bus limit of 30 bits", BUS_LIMIT, DMA_BIT_MASK(30) },
	{ "bus limit at the last byte of RAM", RAM_LIMIT, 0 },
	{ "bus limit one byte before", RAM_LIMIT, 1 },
	{ "not coherent", NOT_COHERENT },
	{ "forced bounce", FORCED_BOUNCE },
	{ "DMA range map with a hole", RANGE_MAP_HOLE },
	{ "DMA range map with a part of a page", RANGE_MAP_PART },
	{ "DMA range map, a low window beyond the bus limit", RANGE_MAP_HIGH },
	{ "DMA range map of all memory", RANGE_MAP_ALL },
};

KUNIT_ARRAY_PARAM_DESC(obstacle, obstacle_params, desc);

/*
 * What dma-debug reports: the image of the kernel, and the stack of the caller.
 * And the slots of SWIOTLB's first pool: unmapping one frees it, whoever has it.
 */
static bool is_never_mapped(struct require_coherent_ctx *ctx, phys_addr_t phys)
{
	const struct io_tlb_mem *mem = ctx->dev->dma_io_tlb_mem;
	void *stack = task_stack_page(current);
	struct page *page;
	unsigned long i;

	if (phys >= __pa_symbol(_stext) - PAGE_SIZE && phys < __pa_symbol(_end))
		return true;

	if (mem && phys >= mem->defpool.start && phys < mem->defpool.end)
		return true;

	for (i = 0; i < THREAD_SIZE; i += PAGE_SIZE) {
		page = is_vmalloc_addr(stack + i) ? vmalloc_to_page(stack + i) :
						    virt_to_page(stack + i);
		if (page_to_phys(page) == phys)
			return true;
	}

	return false;
}

static void add_sample(struct require_coherent_ctx *ctx, unsigned long pfn)
{
	phys_addr_t phys = PFN_PHYS(pfn);

	/* A 32-bit kernel may have more memory than it can use. */
	if (!pfn_valid(pfn))
		return;
	ctx->last_page = max(ctx->last_page, phys);
	if (is_never_mapped(ctx, phys) || ctx->nr_samples == NR_SAMPLES)
		return;

	ctx->samples[ctx->nr_samples++].phys = phys;
}

static int sample_range(unsigned long start_pfn, unsigned long nr_pages,
			void *data)
{
	struct require_coherent_ctx *ctx = data;
	unsigned long i;

	for (i = 0; i < min(nr_pages, EDGE_SAMPLES); i++) {
		add_sample(ctx, start_pfn + i);
		add_sample(ctx, start_pfn + nr_pages - 1 - i);
	}
	for (i = 1; i < INNER_SAMPLES; i++)
		add_sample(ctx, start_pfn + nr_pages / INNER_SAMPLES * i);

	return 0;
}

static dma_addr_t map_sample(struct kunit *test, struct sample *sample,
			     unsigned long attrs)
{
	struct require_coherent_ctx *ctx = test->priv;
	dma_addr_t addr;

	addr = dma_map_phys(ctx->dev, sample->phys, PAGE_SIZE, DMA_TO_DEVICE,
			    attrs);

	return dma_mapping_error(ctx->dev, addr) ? DMA_MAPPING_ERROR : addr;
}

static void unmap_sample(struct kunit *test, dma_addr_t addr,
			 unsigned long attrs)
{
	struct require_coherent_ctx *ctx = test->priv;

	if (addr != DMA_MAPPING_ERROR)
		dma_unmap_phys(ctx->dev, addr, PAGE_SIZE, DMA_TO_DEVICE, attrs);
}

static bool is_refused(struct kunit *test, struct sample *sample)
{
	dma_addr_t addr = map_sample(test, sample, DMA_ATTR_REQUIRE_COHERENT);

	unmap_sample(test, addr, DMA_ATTR_REQUIRE_COHERENT);

	return addr == DMA_MAPPING_ERROR;
}

static phys_addr_t last_byte(struct require_coherent_ctx *ctx)
{
	return ctx->last_page + PAGE_SIZE - 1;
}

/* Put up an obstacle for a device of KUnit's own. */
static void put_up(struct kunit *test, const struct obstacle_param *param)
{
	struct require_coherent_ctx *ctx = test->priv;
	struct bus_dma_region *map;
	phys_addr_t half, hole = 0;

	switch (param->obstacle) {
	case NOTHING:
		break;
	case MASK:
		if (dma_set_mask(ctx->dev, param->limit))
			kunit_skip(test, "no memory below DMA mask %#llx",
				   param->limit);
		break;
	case BUS_LIMIT:
		ctx->dev->bus_dma_limit = param->limit;
		break;
	case RAM_LIMIT:
		if (is_never_mapped(ctx, ctx->last_page))
			kunit_skip(test, "the last page of RAM cannot be mapped");
		ctx->dev->bus_dma_limit = last_byte(ctx) - param->limit;
		break;
	case NOT_COHERENT:
		kunit_dma_set_coherent(ctx->dev, false);
		kunit_dma_skip_unless_coherent(test, ctx->dev, false);
		break;
	case FORCED_BOUNCE:
		/* A refusal has no use for slots. */
		ctx->dev->dma_io_tlb_mem = kunit_dma_empty_pool(test, true);
		break;
	case RANGE_MAP_HOLE:
	case RANGE_MAP_PART:
	case RANGE_MAP_HIGH:
	case RANGE_MAP_ALL:
		if (get_dma_ops(ctx->dev))
			kunit_skip(test, "DMA range maps are for direct mappings");
		map = kunit_kcalloc(test, 3, sizeof(*map), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, map);
		/* Two windows, which meet in the middle, at one of the samples. */
		half = ctx->samples[ctx->nr_samples / 2].phys;
		map[0].cpu_start = 0;
		map[0].dma_start = 0;
		map[0].size = half;
		map[1].cpu_start = half;
		map[1].dma_start = half;
		map[1].size = BIT_ULL(52) - half;
		if (param->obstacle == RANGE_MAP_HOLE)
			hole = PAGE_SIZE;
		else if (param->obstacle == RANGE_MAP_PART)
			hole = PAGE_SIZE / 2;
		map[1].cpu_start += hole;
		map[1].dma_start += hole;
		map[1].size -= hole;
		if (param->obstacle == RANGE_MAP_HIGH) {
			if (!IS_ENABLED(CONFIG_ARCH_DMA_ADDR_T_64BIT))
				kunit_skip(test, "needs DMA addresses of 64 bits");
			map[0].dma_start = BIT_ULL(56);
			ctx->dev->bus_dma_limit = DMA_BIT_MASK(54);
		}
		ctx->dev->dma_range_map = map;
		break;
	}
}

static void take_down(void *data)
{
	struct device *dev = data;

	/* Memory of KUnit's, which the device must not free. */
	dev->dma_range_map = NULL;
}

static void answer_is_that_of_the_mappings(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct require_coherent_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned int refused = 0, i;
	bool supported;

	put_up(test, param);
	before = kunit_dma_usage(ctx->dev);
	supported = dma_require_coherent_supported(ctx->dev);
	for (i = 0; i < ctx->nr_samples; i++)
		refused += is_refused(test, &ctx->samples[i]);

	if (supported)
		KUNIT_EXPECT_EQ_MSG(test, refused, 0,
				    "refused some of %u pages after promising none",
				    ctx->nr_samples);
	else if (!get_dma_ops(ctx->dev))
		KUNIT_EXPECT_GT_MSG(test, refused, 0,
				    "refused none of %u pages after promising nothing",
				    ctx->nr_samples);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* The same answers again, for each obstacle by name. */

static void promises_nothing_with_obstacle(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct require_coherent_ctx *ctx = test->priv;
	bool harmless, limited, forced = is_swiotlb_force_bounce(ctx->dev);
	u64 limit = param->limit;

	if (param->obstacle == RAM_LIMIT)
		limit = last_byte(ctx) - param->limit;
	limited = param->obstacle == MASK || param->obstacle == BUS_LIMIT ||
		  param->obstacle == RAM_LIMIT;
	harmless = param->obstacle == NOTHING ||
		   param->obstacle == RANGE_MAP_ALL ||
		   (limited && last_byte(ctx) <= limit);
	if (get_dma_ops(ctx->dev) && limited && limit != DMA_BIT_MASK(64))
		kunit_skip(test, "the device does not see physical addresses");

	put_up(test, param);
	KUNIT_EXPECT_EQ(test, dma_require_coherent_supported(ctx->dev),
			harmless && !forced);
}

/* Nothing can be mapped, and no driver has got that far. */
static void promises_nothing_without_dma_mask(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;

	ctx->dev->dma_mask = NULL;
	KUNIT_EXPECT_FALSE(test, dma_require_coherent_supported(ctx->dev));
}

/* Devices with dma_map_ops */

static const struct ops_param {
	const char *desc;
	bool coherent;
	bool scatterlist;
	unsigned long attrs;
	bool mapped;
	int error;		/* of the ops, which is no refusal */
} ops_params[] = {
	{ "page, coherent", true, false, DMA_ATTR_REQUIRE_COHERENT, true },
	{ "page, not coherent", false, false, DMA_ATTR_REQUIRE_COHERENT, false },
	{ "page, not coherent, without attribute", false, false, 0, true },
	{ "scatterlist, coherent", true, true, DMA_ATTR_REQUIRE_COHERENT, true },
	{ "scatterlist, not coherent", false, true, DMA_ATTR_REQUIRE_COHERENT,
	  false },
	{ "scatterlist, not coherent, without attribute", false, true, 0, true },
	{ "scatterlist, out of memory", true, true, DMA_ATTR_REQUIRE_COHERENT,
	  false, -ENOMEM },
	{ "scatterlist, out of memory, without attribute", true, true, 0, false,
	  -ENOMEM },
	{ "MMIO, coherent", true, false,
	  DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT, true },
	{ "MMIO, not coherent", false, false,
	  DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT, true },
};

KUNIT_ARRAY_PARAM_DESC(ops, ops_params, desc);

/* Ops that say nothing map whatever they are asked to, or say so if not. */
#ifdef CONFIG_ARCH_HAS_DMA_OPS
static void promises_what_the_ops_of_the_device_promise(struct kunit *test)
{
	static const struct dma_map_ops silent_ops = {};
	struct require_coherent_ctx *ctx = test->priv;
	const struct dma_map_ops *saved = ctx->dev->dma_ops;

	set_dma_ops(ctx->dev, &silent_ops);
	KUNIT_EXPECT_EQ(test, dma_require_coherent_supported(ctx->dev),
			!is_swiotlb_force_bounce(ctx->dev));

	/* These map nothing. */
	set_dma_ops(ctx->dev, &dma_dummy_ops);
	KUNIT_EXPECT_FALSE(test, dma_require_coherent_supported(ctx->dev));

	set_dma_ops(ctx->dev, saved);
}

/* Ops that map everything where it is, and count what they have mapped. */

static dma_addr_t count_mapping(struct device *dev, dma_addr_t addr)
{
	struct require_coherent_ctx *ctx = dev_get_drvdata(dev);

	ctx->ops_mappings++;

	return addr;
}

static int ops_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
		      enum dma_data_direction dir, unsigned long attrs)
{
	struct require_coherent_ctx *ctx = dev_get_drvdata(dev);
	struct scatterlist *sg;
	int i;

	if (ctx->ops_error)
		return ctx->ops_error;

	for_each_sg(sgl, sg, nents, i) {
		sg_dma_address(sg) = count_mapping(dev, sg_phys(sg));
		sg_dma_len(sg) = sg->length;
	}

	return nents;
}

/*
 * Kernels differ in what ops of single mappings take. This attribute is younger
 * than ops that take physical addresses, which the preprocessor cannot see.
 */
#ifdef DMA_ATTR_CC_SHARED
static dma_addr_t ops_map_phys(struct device *dev, phys_addr_t phys, size_t size,
			       enum dma_data_direction dir, unsigned long attrs)
{
	return count_mapping(dev, phys);
}

static const struct dma_map_ops counting_ops = {
	.map_phys = ops_map_phys,
	.map_sg = ops_map_sg,
};
#else
static dma_addr_t ops_map_page(struct device *dev, struct page *page,
			       unsigned long offset, size_t size,
			       enum dma_data_direction dir, unsigned long attrs)
{
	return count_mapping(dev, page_to_phys(page) + offset);
}

/* The only one that the core calls without asking whether it is there. */
static void ops_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			   enum dma_data_direction dir, unsigned long attrs)
{
}

static dma_addr_t ops_map_resource(struct device *dev, phys_addr_t phys,
				   size_t size, enum dma_data_direction dir,
				   unsigned long attrs)
{
	return count_mapping(dev, phys);
}

static const struct dma_map_ops counting_ops = {
	.map_page = ops_map_page,
	.unmap_page = ops_unmap_page,
	.map_resource = ops_map_resource,
	.map_sg = ops_map_sg,
};
#endif

static void restore_ops(void *data)
{
	struct require_coherent_ctx *ctx = data;

	set_dma_ops(ctx->dev, ctx->ops);
}

/* Refusals are up to the core: ops map whatever they are asked to, or fail. */
static void ops_of_the_device_map_only_what_is_coherent(struct kunit *test)
{
	const struct ops_param *param = test->param_value;
	struct require_coherent_ctx *ctx = test->priv;
	phys_addr_t phys = ctx->samples[0].phys;
	struct kunit_dma_usage before;
	struct scatterlist sg;
	struct sg_table sgt = { .sgl = &sg, .nents = 1, .orig_nents = 1 };
	dma_addr_t addr;
	int ret;

	kunit_dma_set_coherent(ctx->dev, param->coherent);
	kunit_dma_skip_unless_coherent(test, ctx->dev, param->coherent);
	if (param->attrs & DMA_ATTR_MMIO)
		phys = kunit_dma_mmio_above(test, ctx->last_page);
	dev_set_drvdata(ctx->dev, ctx);
	ctx->ops = ctx->dev->dma_ops;
	ctx->ops_error = param->error;
	set_dma_ops(ctx->dev, &counting_ops);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, restore_ops,
							   ctx));
	before = kunit_dma_usage(ctx->dev);

	if (param->scatterlist) {
		sg_init_table(&sg, 1);
		sg_set_page(&sg, phys_to_page(phys), PAGE_SIZE, 0);
		ret = dma_map_sgtable(ctx->dev, &sgt, DMA_TO_DEVICE,
				      param->attrs);
		KUNIT_EXPECT_EQ(test, ret, param->mapped ? 0 :
					   param->error ?: -EOPNOTSUPP);
		KUNIT_EXPECT_EQ_MSG(test, ctx->sg_errors, ret == -EOPNOTSUPP,
				    "refusals that are traced");
		if (!ret)
			dma_unmap_sgtable(ctx->dev, &sgt, DMA_TO_DEVICE,
					  param->attrs);
	} else {
		addr = dma_map_phys(ctx->dev, phys, PAGE_SIZE, DMA_TO_DEVICE,
				    param->attrs);
		ret = dma_mapping_error(ctx->dev, addr);
		KUNIT_EXPECT_EQ(test, !ret, param->mapped);
		if (!ret)
			dma_unmap_phys(ctx->dev, addr, PAGE_SIZE, DMA_TO_DEVICE,
				       param->attrs);
	}
	KUNIT_EXPECT_EQ(test, ctx->ops_mappings, param->mapped);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}
#else
static void promises_what_the_ops_of_the_device_promise(struct kunit *test)
{
	kunit_skip(test, "no device has dma_map_ops here");
}

static void ops_of_the_device_map_only_what_is_coherent(struct kunit *test)
{
	kunit_skip(test, "no device has dma_map_ops here");
}
#endif

/* What is refused does not depend on what was mapped before, or is mapped. */
static void refusal_does_not_depend_on_order(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct require_coherent_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	struct sample *sample;
	unsigned int i;

	put_up(test, param);
	before = kunit_dma_usage(ctx->dev);

	for (i = 0; i < ctx->nr_samples; i++) {
		sample = &ctx->samples[i];
		sample->refused = is_refused(test, sample);
	}

	/* Again in reverse, with all that can be mapped staying mapped. */
	for (i = ctx->nr_samples; i-- > 0;) {
		sample = &ctx->samples[i];
		sample->addr = map_sample(test, sample,
					  DMA_ATTR_REQUIRE_COHERENT);
		KUNIT_EXPECT_EQ_MSG(test, sample->addr == DMA_MAPPING_ERROR,
				    sample->refused, "page at %pa",
				    &sample->phys);
		KUNIT_EXPECT_EQ_MSG(test, is_refused(test, sample),
				    sample->refused, "again page at %pa",
				    &sample->phys);
	}
	for (i = 0; i < ctx->nr_samples; i++)
		unmap_sample(test, ctx->samples[i].addr,
			     DMA_ATTR_REQUIRE_COHERENT);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* One buffer that bounced says nothing about the others. */
static void bounced_mapping_does_not_change_answer(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;
	struct page *page;
	dma_addr_t addr;

	if (is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "swiotlb=force leaves nothing to change");
	if (!is_swiotlb_active(ctx->dev))
		kunit_skip(test, "SWIOTLB has no memory on this machine");
	if (get_dma_ops(ctx->dev))
		kunit_skip(test, "the bus limit is for direct mappings");

	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	ctx->dev->bus_dma_limit = page_to_phys(page);
	if (ctx->dev->dma_io_tlb_mem->defpool.end > page_to_phys(page)) {
		__free_page(page);
		kunit_skip(test, "no SWIOTLB pool below the page");
	}
	KUNIT_EXPECT_FALSE(test, dma_require_coherent_supported(ctx->dev));
	addr = dma_map_page(ctx->dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, dma_mapping_error(ctx->dev, addr), 0);

	ctx->dev->bus_dma_limit = 0;
	KUNIT_EXPECT_TRUE(test, dma_require_coherent_supported(ctx->dev));
	if (addr != DMA_MAPPING_ERROR)
		dma_unmap_page(ctx->dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, dma_require_coherent_supported(ctx->dev));
	__free_page(page);
}

/* A PCI device behind an IOMMU: whole pages are never bounced there. */

static void restore_pci_device(void *data)
{
	struct require_coherent_ctx *ctx = data;

	kunit_dma_apply(ctx->dev, &ctx->settings);
}

static void use_pci_device(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;
	struct pci_dev *pdev = pci_get_device(0x1234, 0x11e8, NULL);

	if (!pdev)
		kunit_skip(test, "needs a PCI device 1234:11e8");
	/* Nothing removes it while the kernel boots. */
	pci_dev_put(pdev);
	if (pdev->dev.driver)
		kunit_skip(test, "the PCI device has a driver");
	if (!use_dma_iommu(&pdev->dev))
		kunit_skip(test, "the PCI device is not behind an IOMMU");

	ctx->dev = &pdev->dev;
	ctx->pdev = pdev;
	ctx->settings = kunit_dma_settings(ctx->dev);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   restore_pci_device,
							   ctx));
}

static const struct pci_param {
	const char *desc;
	bool untrusted;
	bool coherent;
	u64 mask;
} pci_params[] = {
	{ "trusted", false, true, DMA_BIT_MASK(64) },
	{ "untrusted", true, true, DMA_BIT_MASK(64) },
	{ "DMA mask of 28 bits", false, true, DMA_BIT_MASK(28) },
	{ "not coherent", false, false, DMA_BIT_MASK(64) },
};

KUNIT_ARRAY_PARAM_DESC(pci, pci_params, desc);

static void answer_behind_iommu_is_that_of_the_mappings(struct kunit *test)
{
	const struct pci_param *param = test->param_value;
	struct require_coherent_ctx *ctx = test->priv;
	unsigned int refused = 0, i;
	bool supported;

	use_pci_device(test);
	kunit_dma_set_coherent(ctx->dev, param->coherent);
	kunit_dma_skip_unless_coherent(test, ctx->dev, param->coherent);
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(ctx->dev, param->mask));
	ctx->pdev->untrusted = param->untrusted;

	supported = dma_require_coherent_supported(ctx->dev);
	for (i = 0; i < ctx->nr_samples; i++)
		refused += is_refused(test, &ctx->samples[i]);

	KUNIT_EXPECT_EQ(test, supported, param->coherent);
	KUNIT_EXPECT_EQ(test, refused, param->coherent ? 0 : ctx->nr_samples);
}

/* Allocations, for which the attribute means nothing */

static void allocation_fails_with_attribute(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	dma_addr_t addr;

	KUNIT_EXPECT_NULL(test, dma_alloc_attrs(ctx->dev, PAGE_SIZE, &addr,
						GFP_KERNEL,
						DMA_ATTR_REQUIRE_COHERENT));
	KUNIT_EXPECT_NULL(test, dmam_alloc_attrs(ctx->dev, PAGE_SIZE, &addr,
						 GFP_KERNEL,
						 DMA_ATTR_REQUIRE_COHERENT |
						 DMA_ATTR_FORCE_CONTIGUOUS));
	KUNIT_EXPECT_EQ(test, ctx->failed_allocations, 2);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void noncontiguous_allocation_fails_with_attribute(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;

	KUNIT_EXPECT_NULL(test, dma_alloc_noncontiguous(ctx->dev, PAGE_SIZE,
							DMA_BIDIRECTIONAL,
							GFP_KERNEL,
							DMA_ATTR_REQUIRE_COHERENT));
}

static void noncontiguous_allocation_works_without_attribute(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	struct sg_table *sgt;

	sgt = dma_alloc_noncontiguous(ctx->dev, PAGE_SIZE, DMA_BIDIRECTIONAL,
				      GFP_KERNEL, 0);
	KUNIT_EXPECT_NOT_NULL(test, sgt);
	if (sgt)
		dma_free_noncontiguous(ctx->dev, PAGE_SIZE, sgt,
				       DMA_BIDIRECTIONAL);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void allocation_works_without_attribute(struct kunit *test)
{
	struct require_coherent_ctx *ctx = test->priv;
	dma_addr_t addr;
	void *buf;

	buf = dma_alloc_attrs(ctx->dev, PAGE_SIZE, &addr, GFP_KERNEL, 0);
	KUNIT_EXPECT_NOT_NULL(test, buf);
	if (buf)
		dma_free_attrs(ctx->dev, PAGE_SIZE, buf, addr, 0);
}

static int require_coherent_init(struct kunit *test)
{
	struct require_coherent_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->samples = kunit_kcalloc(test, NR_SAMPLES, sizeof(*ctx->samples),
				     GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->samples);

	ctx->dev = kunit_device_register(test, "dma-require-coherent-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dev);
	walk_system_ram_range(0, ULONG_MAX, ctx, sample_range);
	KUNIT_ASSERT_GT(test, ctx->nr_samples, 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, take_down, ctx->dev));
	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);
	kunit_dma_set_coherent(ctx->dev, true);
	kunit_dma_skip_unless_coherent(test, ctx->dev, true);

	return dma_coerce_mask_and_coherent(ctx->dev, DMA_BIT_MASK(64));
}

static struct kunit_case require_coherent_cases[] = {
	KUNIT_CASE_PARAM(answer_is_that_of_the_mappings, obstacle_gen_params),
	KUNIT_CASE_PARAM(promises_nothing_with_obstacle, obstacle_gen_params),
	KUNIT_CASE(promises_nothing_without_dma_mask),
	KUNIT_CASE(promises_what_the_ops_of_the_device_promise),
	KUNIT_CASE_PARAM(ops_of_the_device_map_only_what_is_coherent, ops_gen_params),
	KUNIT_CASE_PARAM(refusal_does_not_depend_on_order, obstacle_gen_params),
	KUNIT_CASE(bounced_mapping_does_not_change_answer),
	KUNIT_CASE_PARAM(answer_behind_iommu_is_that_of_the_mappings, pci_gen_params),
	KUNIT_CASE(allocation_fails_with_attribute),
	KUNIT_CASE(noncontiguous_allocation_fails_with_attribute),
	KUNIT_CASE(noncontiguous_allocation_works_without_attribute),
	KUNIT_CASE(allocation_works_without_attribute),
	{}
};

static struct kunit_suite require_coherent_suite = {
	.name = "dma_require_coherent",
	.init = require_coherent_init,
	.test_cases = require_coherent_cases,
};

kunit_test_suite(require_coherent_suite);

MODULE_DESCRIPTION("KUnit tests for dma_require_coherent_supported()");
MODULE_LICENSE("GPL");

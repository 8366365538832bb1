// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the instructions that mapping and unmapping memory takes.
 *
 * Made for QEMU with "-icount shift=0" and a cycle counter of 1 GHz, where the
 * counter advances by one for each instruction that the guest executes. Every
 * call is counted by itself, with interrupts off, so that nothing else is in the
 * result. Once the caches are filled it takes the same number every time, but
 * for the reason at BENCH_ODD_ROUNDS.
 *
 * Not part of the series: it has to build for kernels without it, too.
 */
#include <linux/bits.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/timex.h>

#ifndef DMA_ATTR_REQUIRE_COHERENT
#define DMA_ATTR_REQUIRE_COHERENT	BIT(12)
#endif

/* Caches of IOVAs and page tables are filled by then. */
#define BENCH_WARM_UP		16
#define BENCH_ROUNDS		32

/*
 * The SMMU takes two commands for unmapping, and a bitmap of 64 bits a word tells
 * it which ones are ready. If the first command is at an odd place, it depends on
 * what else the machine has, the two are in different words in one of 32 rounds.
 */
#define BENCH_ODD_ROUNDS	1

/*
 * On arm64 it depends on the place in a cacheline how many instructions memset()
 * takes, and on the stack frames of all callers in which place an array of theirs
 * is. Try every place that there can be: the least of them is the same whoever the
 * callers are.
 */
#define BENCH_PLACES		64
#define BENCH_PLACE		8

/* Every other page of a block, so that no two segments can be merged. */
#define BENCH_ENTRIES		256
#define BENCH_STRIDE		2
#define BENCH_ORDER		9

struct bench {
	struct device *dev;
	struct page *pages;
	struct sg_table sgt;
	struct dma_iova_state state;
	dma_addr_t dma_addr;
	unsigned int entries;
	unsigned long attrs;
	int ret;
};

struct bench_interface {
	const char *name;
	unsigned int entries;
	void (*map)(struct bench *b);
	void (*unmap)(struct bench *b);
	bool (*failed)(struct bench *b);
	bool (*begin)(struct bench *b);
	void (*end)(struct bench *b);
};

/* Instructions. */
struct bench_count {
	u64 map;
	u64 unmap;
};

static void bench_nothing(struct bench *b)
{
}

static bool bench_succeeds(struct bench *b)
{
	return false;
}

static void bench_map_phys(struct bench *b)
{
	b->dma_addr = dma_map_phys(b->dev, page_to_phys(b->pages), PAGE_SIZE,
				   DMA_BIDIRECTIONAL, b->attrs);
}

static void bench_unmap_phys(struct bench *b)
{
	dma_unmap_phys(b->dev, b->dma_addr, PAGE_SIZE, DMA_BIDIRECTIONAL,
		       b->attrs);
}

static void bench_map_single(struct bench *b)
{
	b->dma_addr = dma_map_single_attrs(b->dev, page_address(b->pages),
					   PAGE_SIZE, DMA_BIDIRECTIONAL,
					   b->attrs);
}

static void bench_unmap_single(struct bench *b)
{
	dma_unmap_single_attrs(b->dev, b->dma_addr, PAGE_SIZE,
			       DMA_BIDIRECTIONAL, b->attrs);
}

static bool bench_single_failed(struct bench *b)
{
	return dma_mapping_error(b->dev, b->dma_addr);
}

static bool bench_sg_begin(struct bench *b)
{
	struct scatterlist *sg;
	int i;

	if (sg_alloc_table(&b->sgt, b->entries, GFP_KERNEL))
		return false;
	for_each_sgtable_sg(&b->sgt, sg, i)
		sg_set_page(sg, b->pages + i * BENCH_STRIDE, PAGE_SIZE, 0);
	return true;
}

static void bench_sg_end(struct bench *b)
{
	sg_free_table(&b->sgt);
}

static void bench_map_sg(struct bench *b)
{
	b->ret = dma_map_sg_attrs(b->dev, b->sgt.sgl, b->sgt.orig_nents,
				  DMA_BIDIRECTIONAL, b->attrs);
}

static void bench_unmap_sg(struct bench *b)
{
	dma_unmap_sg_attrs(b->dev, b->sgt.sgl, b->sgt.orig_nents,
			   DMA_BIDIRECTIONAL, b->attrs);
}

static bool bench_sg_failed(struct bench *b)
{
	return b->ret <= 0;
}

static void bench_map_sgtable(struct bench *b)
{
	b->ret = dma_map_sgtable(b->dev, &b->sgt, DMA_BIDIRECTIONAL, b->attrs);
}

static void bench_unmap_sgtable(struct bench *b)
{
	dma_unmap_sgtable(b->dev, &b->sgt, DMA_BIDIRECTIONAL, b->attrs);
}

static bool bench_sgtable_failed(struct bench *b)
{
	return b->ret;
}

/* There is nothing to link without an IOMMU. */
static bool bench_link_begin(struct bench *b)
{
	return dma_iova_try_alloc(b->dev, &b->state, page_to_phys(b->pages),
				  PAGE_SIZE);
}

static void bench_link_end(struct bench *b)
{
	dma_iova_free(b->dev, &b->state);
}

static void bench_link(struct bench *b)
{
	b->ret = dma_iova_link(b->dev, &b->state, page_to_phys(b->pages), 0,
			       PAGE_SIZE, DMA_BIDIRECTIONAL, b->attrs);
}

static void bench_unlink(struct bench *b)
{
	dma_iova_unlink(b->dev, &b->state, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
			b->attrs);
}

/* What block drivers do for every request: all of it, and all of it undone. */
static void bench_alloc_and_link(struct bench *b)
{
	b->ret = -EOPNOTSUPP;
	if (!dma_iova_try_alloc(b->dev, &b->state, page_to_phys(b->pages),
				PAGE_SIZE))
		return;
	b->ret = dma_iova_link(b->dev, &b->state, page_to_phys(b->pages), 0,
			       PAGE_SIZE, DMA_BIDIRECTIONAL, b->attrs);
	if (!b->ret)
		b->ret = dma_iova_sync(b->dev, &b->state, 0, PAGE_SIZE);
}

static void bench_destroy(struct bench *b)
{
	dma_iova_destroy(b->dev, &b->state, PAGE_SIZE, DMA_BIDIRECTIONAL,
			 b->attrs);
}

/* Leaves nothing allocated, only says whether there is an IOMMU. */
static bool bench_iommu_begin(struct bench *b)
{
	if (!bench_link_begin(b))
		return false;
	bench_link_end(b);
	return true;
}

static const struct bench_interface bench_interfaces[] = {
	{ "dma_map_phys", 1, bench_map_phys, bench_unmap_phys,
	  bench_single_failed },
	{ "dma_map_single", 1, bench_map_single, bench_unmap_single,
	  bench_single_failed },
	{ "dma_map_sg", 1, bench_map_sg, bench_unmap_sg, bench_sg_failed,
	  bench_sg_begin, bench_sg_end },
	{ "dma_map_sg", 16, bench_map_sg, bench_unmap_sg, bench_sg_failed,
	  bench_sg_begin, bench_sg_end },
	{ "dma_map_sg", 256, bench_map_sg, bench_unmap_sg, bench_sg_failed,
	  bench_sg_begin, bench_sg_end },
	{ "dma_map_sgtable", 16, bench_map_sgtable, bench_unmap_sgtable,
	  bench_sgtable_failed, bench_sg_begin, bench_sg_end },
	{ "dma_iova_link", 1, bench_link, bench_unlink, bench_sgtable_failed,
	  bench_link_begin, bench_link_end },
	{ "dma_iova_alloc_link", 1, bench_alloc_and_link, bench_destroy,
	  bench_sgtable_failed, bench_iommu_begin },
};

static const struct bench_interface bench_empty = {
	"nothing", 0, bench_nothing, bench_nothing, bench_succeeds
};

static noinline u64 bench_call(void (*call)(struct bench *b), struct bench *b,
			       size_t place)
{
	void *hole = __builtin_alloca(place);
	u64 begin;

	barrier_data(hole);
	begin = get_cycles();
	barrier();
	call(b);
	barrier();
	return get_cycles() - begin;
}

static bool bench_round(const struct bench_interface *interface,
			struct bench *b, size_t place,
			struct bench_count *count)
{
	unsigned long flags;
	bool mapped;

	local_irq_save(flags);
	count->map = bench_call(interface->map, b, place);
	mapped = !interface->failed(b);
	if (mapped)
		count->unmap = bench_call(interface->unmap, b, place);
	local_irq_restore(flags);
	return mapped;
}

/* Returns why there is no result. */
static const char *bench_place(const struct bench_interface *interface,
			       struct bench *b, size_t place,
			       struct bench_count *count)
{
	static struct bench_count rounds[BENCH_ROUNDS];
	struct bench_count least;
	int i, odd = 0;

	for (i = 0; i < BENCH_WARM_UP; i++)
		if (!bench_round(interface, b, place, &least))
			return "cannot be mapped";

	for (i = 0; i < BENCH_ROUNDS; i++) {
		if (!bench_round(interface, b, place, &rounds[i]))
			return "cannot be mapped again";
		least.map = min(least.map, rounds[i].map);
		least.unmap = min(least.unmap, rounds[i].unmap);
	}

	for (i = 0; i < BENCH_ROUNDS; i++)
		odd += rounds[i].map != least.map ||
		       rounds[i].unmap != least.unmap;
	if (odd > BENCH_ODD_ROUNDS)
		return "differs from round to round";

	count->map = min(count->map, least.map);
	count->unmap = min(count->unmap, least.unmap);
	return NULL;
}

static void bench_run(const struct bench_interface *interface, struct bench *b,
		      unsigned long attrs)
{
	struct bench_count count = { .map = U64_MAX, .unmap = U64_MAX };
	const char *attribute = attrs ? "attribute" : "none";
	const char *error = NULL;
	size_t place;

	b->entries = interface->entries;
	b->attrs = attrs;
	if (interface->begin && !interface->begin(b))
		return;
	for (place = 0; place < BENCH_PLACES && !error; place += BENCH_PLACE)
		error = bench_place(interface, b, place, &count);
	if (interface->end)
		interface->end(b);

	if (error)
		dev_err(b->dev, "bench: error %s %u %s %s\n", interface->name,
			b->entries, attribute, error);
	else
		dev_info(b->dev, "bench: %s %u %s map %llu unmap %llu\n",
			 interface->name, b->entries, attribute,
			 count.map, count.unmap);
}

/* What decides whether the numbers mean what the caller takes them for. */
static void bench_describe(struct bench *b)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(b->dev);
	bool translated = domain && domain->type & __IOMMU_DOMAIN_DMA_API;

	dev_info(b->dev, "bench: device %s %s\n",
		 dev_is_dma_coherent(b->dev) ? "coherent" : "non-coherent",
		 translated ? "iommu" : "direct");
	bench_map_phys(b);
	if (bench_single_failed(b)) {
		dev_err(b->dev, "bench: error nothing can be mapped\n");
		return;
	}
	if (!translated && b->dma_addr != page_to_phys(b->pages))
		dev_err(b->dev, "bench: error mappings bounce\n");
	bench_unmap_phys(b);
}

static int bench_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bench b = { .dev = &pdev->dev };
	static bool done;
	int ret, i;

	BUILD_BUG_ON(BENCH_ENTRIES * BENCH_STRIDE > 1 << BENCH_ORDER);

	/* One device will do; some machines have more. */
	if (done)
		return -ENODEV;
	done = true;

	ret = dma_set_mask_and_coherent(b.dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	b.pages = alloc_pages(GFP_KERNEL, BENCH_ORDER);
	if (!b.pages)
		return -ENOMEM;

	bench_describe(&b);
	bench_run(&bench_empty, &b, 0);
	for (i = 0; i < ARRAY_SIZE(bench_interfaces); i++) {
		bench_run(&bench_interfaces[i], &b, 0);
		bench_run(&bench_interfaces[i], &b, DMA_ATTR_REQUIRE_COHERENT);
	}
	dev_info(b.dev, "bench: done\n");
	__free_pages(b.pages, BENCH_ORDER);
	return -ENODEV;
}

static const struct pci_device_id bench_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};

static struct pci_driver bench_driver = {
	.name = "dma_bench",
	.id_table = bench_ids,
	.probe = bench_probe,
};
module_pci_driver(bench_driver);

MODULE_DESCRIPTION("Counts the instructions of DMA mappings");
MODULE_LICENSE("GPL");

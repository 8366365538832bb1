// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what it costs to map physical ranges of device memory for the importer
 * of a dma-buf, dma_buf_phys_vec_to_sgt(), and to unmap them, dma_buf_free_sgt(),
 * for more and more ranges: instructions, bytes of memory, and bytes of the page
 * tables of an IOMMU.
 *
 * Instructions are counted as in dma_bench.c, but interrupts are not off, as the
 * mapping may sleep for memory. They are held where they come from instead, at
 * the interrupt controller or the timer, so that no tick is in the result. What is
 * left is the state of the page allocator: whether it finds a page on the list of
 * this processor or has to fill that list first. The least of several rounds is
 * the same every time.
 *
 * No data is moved, so that the ranges may lie behind the end of the BAR.
 */
#include <linux/bits.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/tracepoint.h>
#include <linux/vmstat.h>

#ifdef CONFIG_ARM64
#include <asm/barrier.h>
#include <asm/sysreg.h>
#endif

#define BENCH_BAR	2
#define BENCH_CLIENTS	4

/* Caches of the allocators and of IOVAs are filled by then. */
#define BENCH_WARM_UP	4
#define BENCH_ROUNDS	8

static const size_t bench_numbers[] = { 100000, 10000, 1000, 100, 10, 1 };

/*
 * The addresses of the first mapping of each number of ranges end below 2^31,
 * 2^30 and so on. Free ones are looked for from the top down.
 */
#define BENCH_FIRST_BITS	31

struct bench {
	struct device *dev;			/* the importer's */
	struct p2pdma_provider *provider;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct task_struct *task;
	bool translated;
	struct phys_vec *vec;
	size_t nr;
	struct sg_table *sgt;
	long held;				/* bytes of memory */
};

/* The devices: one with memory in a BAR, the others may map it */

static struct pci_dev *memory;
static struct pci_dev *clients[BENCH_CLIENTS];

static int bench_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret, i;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	if (id->driver_data) {
		ret = pcim_p2pdma_init(pdev);
		if (!ret)
			memory = pdev;
		return ret;
	}

	for (i = 0; i < BENCH_CLIENTS && clients[i]; i++)
		;
	if (i == BENCH_CLIENTS)
		return -ENOSPC;
	clients[i] = pdev;

	/* Entries may be of any length: one per range, or one for an IOVA range. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	return dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
}

static const struct pci_device_id bench_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ PCI_DEVICE(0x1af4, 0x1110), .driver_data = true },
	{ }
};

static struct pci_driver bench_driver = {
	.name = "dma_buf_bench",
	.id_table = bench_ids,
	.probe = bench_probe,
};

/* The dma-buf */

static struct sg_table *bench_map_dma_buf(struct dma_buf_attachment *attach,
					  enum dma_data_direction dir)
{
	struct bench *b = attach->dmabuf->priv;

	return dma_buf_phys_vec_to_sgt(attach, b->provider, b->vec, b->nr,
				       b->nr * PAGE_SIZE, dir);
}

static void bench_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops bench_exporter = {
	.map_dma_buf = bench_map_dma_buf,
	.unmap_dma_buf = dma_buf_free_sgt,
	.release = bench_release,
};

static void bench_invalidate(struct dma_buf_attachment *attach)
{
}

static const struct dma_buf_attach_ops bench_importer = {
	.allow_peer2peer = true,
	.invalidate_mappings = bench_invalidate,
};

static void bench_nothing(struct bench *b)
{
}

static void bench_map(struct bench *b)
{
	b->sgt = bench_map_dma_buf(b->attach, DMA_BIDIRECTIONAL);
}

static void bench_unmap(struct bench *b)
{
	dma_buf_free_sgt(b->attach, b->sgt, DMA_BIDIRECTIONAL);
}

/* Instructions */

/* Returns what lets them come again. */
static unsigned long bench_hold_interrupts(void)
{
	unsigned long old;

#if defined(CONFIG_X86_64)
	/* The priority of the processor, above that of all interrupts. */
	asm volatile("mov %%cr8, %0" : "=r" (old));
	asm volatile("mov %0, %%cr8" : : "r" (15UL) : "memory");
#elif defined(CONFIG_ARM64)
	/* Bit 1 masks the interrupt of the virtual timer. */
	old = read_sysreg(cntv_ctl_el0);
	write_sysreg(old | BIT(1), cntv_ctl_el0);
	isb();
#else
#error "How are interrupts held here?"
#endif
	return old;
}

static void bench_let_interrupts_come(unsigned long old)
{
#if defined(CONFIG_X86_64)
	asm volatile("mov %0, %%cr8" : : "r" (old) : "memory");
#elif defined(CONFIG_ARM64)
	write_sysreg(old, cntv_ctl_el0);
	isb();
#endif
}

static noinline u64 bench_call(void (*call)(struct bench *b), struct bench *b)
{
	u64 begin;

	begin = get_cycles();
	barrier();
	call(b);
	barrier();
	return get_cycles() - begin;
}

/* Counts without what it takes to call and count a function that does nothing. */
static int bench_instructions(struct bench *b, u64 *map, u64 *unmap)
{
	u64 nothing, mapped, unmapped;
	unsigned long interrupts;
	int i;

	*map = U64_MAX;
	*unmap = U64_MAX;
	for (i = 0; i < BENCH_WARM_UP + BENCH_ROUNDS; i++) {
		/* Whoever is waiting for the processor has it now, and not later. */
		cond_resched();
		interrupts = bench_hold_interrupts();
		nothing = bench_call(bench_nothing, b);
		mapped = bench_call(bench_map, b);
		if (!IS_ERR(b->sgt))
			unmapped = bench_call(bench_unmap, b);
		bench_let_interrupts_come(interrupts);
		if (IS_ERR(b->sgt))
			return PTR_ERR(b->sgt);
		if (i < BENCH_WARM_UP)
			continue;
		*map = min(*map, mapped - nothing);
		*unmap = min(*unmap, unmapped - nothing);
	}

	return 0;
}

/* Bytes */

/* All page tables of IOMMUs; exact, as there is one processor and one node. */
static long bench_page_tables(void)
{
	struct pglist_data *node = NODE_DATA(0);

	return (atomic_long_read(&node->vm_stat[NR_IOMMU_PAGES]) +
		this_cpu_read(node->per_cpu_nodestats->vm_node_stat_diff[NR_IOMMU_PAGES])) *
	       (long)PAGE_SIZE;
}

/*
 * An IOMMU keeps page tables that are used in part, and one mapping finds what
 * another has left. Count those of a mapping where nothing has been mapped yet.
 */
static int bench_new_page_tables(struct bench *b, unsigned int bits, long *tables)
{
	long before = bench_page_tables();

	*tables = 0;
	if (!b->translated)
		return 0;

	dma_set_mask(b->dev, DMA_BIT_MASK(bits));
	bench_map(b);
	dma_set_mask(b->dev, DMA_BIT_MASK(64));
	if (IS_ERR(b->sgt))
		return PTR_ERR(b->sgt);

	*tables = bench_page_tables() - before;
	bench_unmap(b);
	return 0;
}

static void bench_saw(struct bench *b, long bytes)
{
	if (current == b->task)
		b->held += bytes;
}

static void bench_saw_kmalloc(void *data, unsigned long call_site,
			      const void *ptr, size_t bytes_req,
			      size_t bytes_alloc, gfp_t gfp, int node)
{
	bench_saw(data, ksize(ptr));
}

static void bench_saw_cache_alloc(void *data, unsigned long call_site,
				  const void *ptr, struct kmem_cache *cache,
				  gfp_t gfp, int node)
{
	bench_saw(data, ksize(ptr));
}

static void bench_saw_kfree(void *data, unsigned long call_site,
			    const void *ptr)
{
	bench_saw(data, -(long)ksize(ptr));
}

static void bench_saw_cache_free(void *data, unsigned long call_site,
				 const void *ptr, const struct kmem_cache *cache)
{
	bench_saw(data, -(long)ksize(ptr));
}

static void bench_saw_page_alloc(void *data, struct page *page,
				 unsigned int order, gfp_t gfp, int migratetype)
{
	bench_saw(data, page ? PAGE_SIZE << order : 0);
}

static void bench_saw_page_free(void *data, struct page *page,
				unsigned int order)
{
	bench_saw(data, -(long)(PAGE_SIZE << order));
}

static struct {
	const char *name;
	void *func;
	struct tracepoint *tp;
} bench_probes[] = {
	{ "kmalloc", bench_saw_kmalloc },
	{ "kmem_cache_alloc", bench_saw_cache_alloc },
	{ "kfree", bench_saw_kfree },
	{ "kmem_cache_free", bench_saw_cache_free },
	{ "mm_page_alloc", bench_saw_page_alloc },
	{ "mm_page_free", bench_saw_page_free },
};

/* Tracepoints are not exported to modules, so look them up by name. */
static void bench_find_tracepoint(struct tracepoint *tp, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bench_probes); i++)
		if (!strcmp(tp->name, bench_probes[i].name))
			bench_probes[i].tp = tp;
}

static bool bench_has_tracepoints(void)
{
	int i;

	for_each_kernel_tracepoint(bench_find_tracepoint, NULL);
	for (i = 0; i < ARRAY_SIZE(bench_probes) && bench_probes[i].tp; i++)
		;
	return i == ARRAY_SIZE(bench_probes);
}

static int bench_watch(struct bench *b)
{
	int i, ret = 0;

	for (i = 0; i < ARRAY_SIZE(bench_probes) && !ret; i++)
		ret = tracepoint_probe_register(bench_probes[i].tp,
						bench_probes[i].func, b);
	return ret;
}

static void bench_watch_no_more(struct bench *b)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bench_probes); i++)
		tracepoint_probe_unregister(bench_probes[i].tp,
					    bench_probes[i].func, b);
	tracepoint_synchronize_unregister();
}

/*
 * What a mapping holds, but for page tables. A slab that is allocated for one of
 * its objects is not in the least of several rounds.
 */
static int bench_bytes(struct bench *b, long *bytes)
{
	long tables;
	int ret, i;

	*bytes = LONG_MAX;
	ret = bench_watch(b);
	for (i = 0; i < BENCH_ROUNDS && !ret; i++) {
		tables = bench_page_tables();
		b->held = 0;
		bench_map(b);
		if (IS_ERR(b->sgt)) {
			ret = PTR_ERR(b->sgt);
			break;
		}
		*bytes = min(*bytes, b->held + tables - bench_page_tables());
		bench_unmap(b);
	}
	bench_watch_no_more(b);

	return ret;
}

/* All of it */

static int bench_number(struct bench *b, size_t nr, unsigned int bits)
{
	u64 start = pci_resource_start(memory, BENCH_BAR);
	long bytes, tables;
	u64 map, unmap;
	size_t i;
	int ret;

	b->nr = nr;
	b->vec = kvcalloc(nr, sizeof(*b->vec), GFP_KERNEL);
	if (!b->vec)
		return -ENOMEM;

	/* Every other page, so that no two ranges could be merged. */
	for (i = 0; i < nr; i++) {
		b->vec[i].paddr = start + 2 * i * PAGE_SIZE;
		b->vec[i].len = PAGE_SIZE;
	}

	dma_resv_lock(b->dmabuf->resv, NULL);
	ret = bench_new_page_tables(b, bits, &tables);
	if (!ret)
		ret = bench_instructions(b, &map, &unmap);
	if (!ret)
		ret = bench_bytes(b, &bytes);
	dma_resv_unlock(b->dmabuf->resv);
	kvfree(b->vec);
	if (!ret)
		dev_info(b->dev, "phys_vec: %zu map %llu unmap %llu bytes %ld tables %ld\n",
			 nr, map, unmap, bytes, tables);
	return ret;
}

/* The first device that can reach the memory. */
static struct pci_dev *bench_find_client(void)
{
	int i;

	for (i = 0; i < BENCH_CLIENTS && clients[i]; i++)
		if (pci_p2pdma_distance(memory, &clients[i]->dev, false) >= 0)
			return clients[i];

	return NULL;
}

/* What decides whether the numbers mean what the caller takes them for. */
static int bench_describe(struct bench *b)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(b->dev);
	struct pci_dev *root = pcie_find_root_port(to_pci_dev(b->dev));
	struct phys_vec vec = { pci_resource_start(memory, BENCH_BAR), PAGE_SIZE };
	bool bus;

	b->vec = &vec;
	b->nr = 1;
	dma_resv_lock(b->dmabuf->resv, NULL);
	bench_map(b);
	if (IS_ERR(b->sgt)) {
		dma_resv_unlock(b->dmabuf->resv);
		return PTR_ERR(b->sgt);
	}
	bus = root && root == pcie_find_root_port(memory) &&
	      sg_dma_address(b->sgt->sgl) == pci_bus_address(memory, BENCH_BAR);
	bench_unmap(b);
	dma_resv_unlock(b->dmabuf->resv);

	b->translated = !bus && domain && domain->type & __IOMMU_DOMAIN_DMA_API;
	dev_info(b->dev, "phys_vec: route %s\n",
		 bus ? "bus" : b->translated ? "iommu" : "direct");
	return 0;
}

static int bench_attach(struct bench *b)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	info.ops = &bench_exporter;
	info.size = pci_resource_len(memory, BENCH_BAR);
	info.priv = b;
	b->dmabuf = dma_buf_export(&info);
	if (IS_ERR(b->dmabuf))
		return PTR_ERR(b->dmabuf);

	b->attach = dma_buf_dynamic_attach(b->dmabuf, b->dev, &bench_importer, b);
	if (IS_ERR(b->attach)) {
		dma_buf_put(b->dmabuf);
		return PTR_ERR(b->attach);
	}

	return 0;
}

static int bench_run(struct bench *b)
{
	struct pci_dev *client;
	int ret, i;

	client = memory ? bench_find_client() : NULL;
	if (!client)
		return -ENODEV;
	if (!bench_has_tracepoints())
		return -ENOENT;
	b->provider = pcim_p2pdma_provider(memory, BENCH_BAR);
	b->dev = &client->dev;
	ret = bench_attach(b);
	if (ret)
		return ret;

	ret = bench_describe(b);
	for (i = 0; i < ARRAY_SIZE(bench_numbers) && !ret; i++)
		ret = bench_number(b, bench_numbers[i], BENCH_FIRST_BITS - i);

	dma_buf_detach(b->dmabuf, b->attach);
	dma_buf_put(b->dmabuf);
	return ret;
}

static int __init bench_init(void)
{
	struct bench b = { .task = current };
	int ret;

	ret = pci_register_driver(&bench_driver);
	if (ret)
		return ret;

	ret = bench_run(&b);
	if (ret)
		pr_err("phys_vec: error %d\n", ret);
	else
		pr_info("phys_vec: done\n");

	/* The module stays, because the dma-buf goes when this task is idle. */
	pci_unregister_driver(&bench_driver);
	return 0;
}
module_init(bench_init);

MODULE_DESCRIPTION("Counts what mapping ranges of device memory costs");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");

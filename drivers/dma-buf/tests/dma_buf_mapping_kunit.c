// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for DMA mappings of device memory: dma_buf_phys_vec_to_sgt() and
 * dma_buf_free_sgt().
 *
 * An exporter hands out the memory BAR of a real PCI device, QEMU's ivshmem-plain,
 * and another one, QEMU's edu, imports it the way every importer does. Which
 * route there is between the two depends on the machine:
 *
 *	below one PCIe switch			bus addresses
 *	through the host bridge, IOMMU		one range of I/O virtual addresses
 *	through the host bridge, no IOMMU	every range by itself
 *	none					-EREMOTEIO
 *
 * What the device would reach is looked up page by page, in the page table of
 * the IOMMU if there is one. No data is moved, so that ranges may reach beyond
 * the BAR: a range of several GiB or 100,000 of them need no such memory.
 *
 * Errors are injected without hooks in the code under test. A kprobe at the
 * entry of each function that can fail lets the Nth call return an error, and
 * the tests go through every N until nothing fails any more. What allocations
 * are made and undone is read from the tracepoints of the slab allocator.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/override.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#define PROVIDER_BAR	2
#define MAX_CLIENTS	4

/* More than the allocator of I/O virtual addresses keeps in its caches. */
#define LARGE_RANGE	(64 * PAGE_SIZE)

/* Far from the memory of any machine, and aligned to more than any entry. */
#define FAR_AWAY	(32ULL * SZ_1G)

enum route {
	ROUTE_BUS,		/* below one switch */
	ROUTE_IOMMU,		/* host bridge, one I/O virtual address range */
	ROUTE_IOMMU_FULL,	/* host bridge, no such range is free */
	ROUTE_DIRECT,		/* host bridge, no IOMMU */
};

static const struct route_param {
	const char *desc;
	enum route route;
} route_params[] = {
	{ "below one switch", ROUTE_BUS },
	{ "host bridge with an IOMMU", ROUTE_IOMMU },
	{ "host bridge with an IOMMU short of addresses", ROUTE_IOMMU_FULL },
	{ "host bridge without an IOMMU", ROUTE_DIRECT },
};

KUNIT_ARRAY_PARAM_DESC(route, route_params, desc);

/* The devices */

static struct pci_dev *provider;
static struct pci_dev *clients[MAX_CLIENTS];

static const struct pci_device_id mapping_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ PCI_DEVICE(0x1af4, 0x1110), .driver_data = 1 },
	{}
};

static int mapping_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	unsigned int i;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	if (id->driver_data) {
		ret = pcim_p2pdma_init(pdev);
		if (!ret && !provider)
			provider = pdev;
		return ret;
	}

	pci_set_master(pdev);
	for (i = 0; i < MAX_CLIENTS; i++) {
		if (!clients[i]) {
			clients[i] = pdev;
			break;
		}
	}

	return dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
}

static void mapping_remove(struct pci_dev *pdev)
{
	unsigned int i;

	if (pdev == provider)
		provider = NULL;
	for (i = 0; i < MAX_CLIENTS; i++)
		if (clients[i] == pdev)
			clients[i] = NULL;
}

static struct pci_driver mapping_driver = {
	.name = "dma-buf-mapping-kunit",
	.id_table = mapping_ids,
	.probe = mapping_probe,
	.remove = mapping_remove,
};

/* The exporter, the importer, and what lies between them */

struct mapping_ctx {
	struct p2pdma_provider *provider;
	struct p2pdma_provider elsewhere;	/* with another bus offset */
	struct device *dev;			/* the importer's */
	enum route route;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct phys_vec *vec;
	size_t nr;
	size_t size;
	struct sg_table *sgt;
	bool got_null;				/* in place of an error */
	dma_addr_t iova;			/* of the last mapping */
	unsigned int cpu_entries;		/* likewise */
	struct kunit_dma_settings settings;
	struct task_struct *task;
	struct task_struct *watched;		/* while it maps */
	struct kunit_calls calls;		/* while it maps */
	struct kunit_calls maintenance;		/* of caches */
	unsigned int nth;			/* the call that fails, or 0 */
	unsigned int allocations;		/* by the last attempt to map */
	unsigned int printed;			/* likewise */
	long balance;				/* of kmalloc() and kfree() */
};

static int mapping_attach(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attach)
{
	return attach->peer2peer ? 0 : -EOPNOTSUPP;
}

static struct sg_table *mapping_map(struct dma_buf_attachment *attach,
				    enum dma_data_direction dir)
{
	struct mapping_ctx *ctx = attach->dmabuf->priv;
	struct sg_table *sgt;

	sgt = dma_buf_phys_vec_to_sgt(attach, ctx->provider, ctx->vec, ctx->nr,
				      ctx->size, dir);
	/* dma_buf_map_attachment() would make an error of it. */
	ctx->got_null |= !sgt;
	/* With DMABUF_DEBUG the importer may get a copy, which has some. */
	if (!IS_ERR_OR_NULL(sgt))
		ctx->cpu_entries = sgt->orig_nents;

	return sgt;
}

static void mapping_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops mapping_ops = {
	.attach = mapping_attach,
	.map_dma_buf = mapping_map,
	.unmap_dma_buf = dma_buf_free_sgt,
	.release = mapping_release,
};

static void mapping_invalidated(struct dma_buf_attachment *attach)
{
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = mapping_invalidated,
};

/* What the kernel allocates, and prints: not in interrupts, which do so for others */

static bool is_mine(struct task_struct *task)
{
	return in_task() && current == task;
}

/*
 * The slab allocator keeps sheaves of free objects for each CPU ("pcs"), and
 * allocates those too. What does so may be inlined.
 */
static bool is_sheaf(unsigned long call_site)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol_no_offset(name, call_site);
	return strstr(name, "sheaf") || strstr(name, "pcs_");
}

static void saw_kmalloc(void *data, unsigned long call_site, const void *ptr,
			size_t bytes_req, size_t bytes_alloc, gfp_t gfp,
			int node)
{
	struct mapping_ctx *ctx = data;

	if (is_mine(ctx->watched))
		ctx->allocations++;
	if (is_mine(ctx->task) && ptr && !is_sheaf(call_site))
		ctx->balance++;
}

static void saw_kfree(void *data, unsigned long call_site, const void *ptr)
{
	struct mapping_ctx *ctx = data;

	if (is_mine(ctx->task) && ptr && !is_sheaf(call_site))
		ctx->balance--;
}

static void saw_cache_alloc(void *data, unsigned long call_site,
			    const void *ptr, struct kmem_cache *cache,
			    gfp_t gfp, int node)
{
	struct mapping_ctx *ctx = data;

	if (is_mine(ctx->watched))
		ctx->allocations++;
}

static void saw_page_alloc(void *data, struct page *page, unsigned int order,
			   gfp_t gfp, int migratetype)
{
	struct mapping_ctx *ctx = data;

	if (is_mine(ctx->watched))
		ctx->allocations++;
}

static void saw_console(void *data, const char *text, size_t len)
{
	struct mapping_ctx *ctx = data;

	if (is_mine(ctx->watched))
		ctx->printed++;
}

static const struct kunit_probe probes[] = {
	{ "kmalloc", saw_kmalloc },
	{ "kfree", saw_kfree },
	{ "kmem_cache_alloc", saw_cache_alloc },
	{ "mm_page_alloc", saw_page_alloc },
	{ "console", saw_console },
};

/* What can fail while ranges are mapped, and how it says so */
static const struct fallible {
	const char *function;
	unsigned long failure;
	bool another_way;	/* may do what failed */
} fallible[] = {
	{ "should_failslab", -ENOSPC, .another_way = true },
	{ "should_fail_alloc_page", true, .another_way = true },
#ifdef CONFIG_IOMMU_DMA
	{ "dma_iova_link", -ENOSPC },
	{ "dma_iova_sync", -ENOSPC },
#endif
	{ "dma_map_phys", DMA_MAPPING_ERROR },
};

/* Routes */

static struct pci_dev *switch_above(struct pci_dev *pdev)
{
	while ((pdev = pci_upstream_bridge(pdev)))
		if (pci_is_pcie(pdev) &&
		    pci_pcie_type(pdev) == PCI_EXP_TYPE_UPSTREAM)
			break;

	return pdev;
}

static bool below_one_switch(struct pci_dev *pdev)
{
	return switch_above(pdev) && switch_above(pdev) == switch_above(provider);
}

static bool behind_iommu(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type != IOMMU_DOMAIN_IDENTITY;
}

static phys_addr_t bar_start(void)
{
	return pci_resource_start(provider, PROVIDER_BAR);
}

static void use_client(struct kunit *test, struct pci_dev *pdev)
{
	struct mapping_ctx *ctx = test->priv;

	ctx->dev = &pdev->dev;
	ctx->settings = kunit_dma_settings(ctx->dev);
	dma_set_max_seg_size(ctx->dev, UINT_MAX);

	ctx->attach = dma_buf_dynamic_attach(ctx->dmabuf, ctx->dev,
					     &importer_ops, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->attach);
}

static void use_any_client(struct kunit *test)
{
	if (!clients[0])
		kunit_skip(test, "no PCI device to import with");

	use_client(test, clients[0]);
}

/* A device to which the route is the one asked for, or skip the test. */
static void use_route(struct kunit *test, enum route route)
{
	bool wants_iommu = route == ROUTE_IOMMU || route == ROUTE_IOMMU_FULL;
	struct mapping_ctx *ctx = test->priv;
	struct pci_dev *pdev = NULL, *candidate;
	unsigned int i;

	ctx->route = route;
	for (i = 0; i < MAX_CLIENTS && clients[i]; i++) {
		candidate = clients[i];
		if (route == ROUTE_BUS ? below_one_switch(candidate) :
		    !below_one_switch(candidate) &&
		    behind_iommu(&candidate->dev) == wants_iommu) {
			pdev = candidate;
			break;
		}
	}
	if (!pdev)
		kunit_skip(test, "no PCI device with such a route to the memory");

	if (pci_p2pdma_distance(provider, &pdev->dev, false) < 0) {
		if (!wants_iommu)
			kunit_skip(test, "the host bridge routes between no ports");
		/* The IOMMU is the real one, only the answer is not. */
		kunit_override_every(test, &ctx->calls, "pci_p2pdma_map_type",
				     PCI_P2PDMA_MAP_THRU_HOST_BRIDGE);
	}
	if (route == ROUTE_IOMMU_FULL)
		kunit_override_every(test, &ctx->calls, "dma_iova_try_alloc",
				     false);

	use_client(test, pdev);
}

/* Ranges */

KUNIT_DEFINE_ACTION_WRAPPER(free_ranges, kvfree, const void *);

static void use_ranges(struct kunit *test, size_t nr)
{
	struct mapping_ctx *ctx = test->priv;

	ctx->vec = kvcalloc(nr, sizeof(*ctx->vec), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->vec);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_ranges,
							   ctx->vec));
	ctx->nr = nr;
}

static void add_up(struct mapping_ctx *ctx)
{
	size_t i;

	ctx->size = 0;
	for (i = 0; i < ctx->nr; i++)
		ctx->size += ctx->vec[i].len;
}

/* Of one to three pages, neither adjacent nor in the order of their addresses. */
static void scatter_ranges(struct kunit *test, size_t nr)
{
	struct mapping_ctx *ctx = test->priv;
	phys_addr_t start = bar_start();
	size_t i;

	/* What lies behind the BAR may be RAM, which dma-debug does not like. */
	if (nr * 4 * PAGE_SIZE > pci_resource_len(provider, PROVIDER_BAR))
		start = FAR_AWAY;

	use_ranges(test, nr);
	for (i = 0; i < nr; i++) {
		ctx->vec[i].paddr = start + ((i ^ 1) * 4 + 1) * PAGE_SIZE;
		ctx->vec[i].len = (1 + i % 3) * PAGE_SIZE;
	}
	add_up(ctx);
}

static void one_range(struct kunit *test, phys_addr_t paddr, size_t len)
{
	struct mapping_ctx *ctx = test->priv;

	use_ranges(test, 1);
	ctx->vec[0].paddr = paddr;
	ctx->vec[0].len = len;
	ctx->size = len;
}

/* Mapping */

static int map_for(struct kunit *test, enum dma_data_direction dir)
{
	struct mapping_ctx *ctx = test->priv;
	struct sg_table *sgt;

	dma_resv_lock(ctx->dmabuf->resv, NULL);
	ctx->allocations = 0;
	ctx->printed = 0;
	ctx->watched = current;
	kunit_begin_calls(&ctx->calls, ctx->nth);
	sgt = dma_buf_map_attachment(ctx->attach, dir);
	kunit_end_calls(&ctx->calls);
	ctx->watched = NULL;
	dma_resv_unlock(ctx->dmabuf->resv);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	ctx->sgt = sgt;
	ctx->iova = sg_dma_address(sgt->sgl);
	return 0;
}

static int map(struct kunit *test)
{
	return map_for(test, DMA_BIDIRECTIONAL);
}

static void unmap_for(struct mapping_ctx *ctx, enum dma_data_direction dir)
{
	dma_resv_lock(ctx->dmabuf->resv, NULL);
	dma_buf_unmap_attachment(ctx->attach, ctx->sgt, dir);
	dma_resv_unlock(ctx->dmabuf->resv);
	ctx->sgt = NULL;
}

static void unmap(struct kunit *test)
{
	unmap_for(test->priv, DMA_BIDIRECTIONAL);
}

/* What the device reaches at an address. */
static phys_addr_t reached(struct mapping_ctx *ctx, dma_addr_t addr)
{
	if (ctx->route == ROUTE_BUS)
		return addr - ctx->provider->bus_offset;
	if (ctx->route == ROUTE_DIRECT)
		return addr;

	return iommu_iova_to_phys(iommu_get_domain_for_dev(ctx->dev), addr);
}

/* Page by page, unless that were too many to look at. */
static size_t step(struct mapping_ctx *ctx)
{
	return ctx->size < SZ_1G ? PAGE_SIZE : SZ_4M;
}

/* Whether the IOMMU translates any of what was mapped last. */
static bool still_translated(struct mapping_ctx *ctx)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(ctx->dev);
	size_t offset;

	if (ctx->route != ROUTE_IOMMU)
		return false;

	for (offset = 0; offset < ctx->size; offset += step(ctx))
		if (iommu_iova_to_phys(domain, ctx->iova + offset))
			return true;

	return false;
}

/* The device must reach the ranges page by page, in order, and nothing else. */
static void expect_ranges_reached(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	size_t total = 0, wrong = 0, misaligned = 0, range = 0, offset = 0;
	dma_addr_t next = ctx->iova;
	struct scatterlist *sg;
	int i, gaps = 0;

	for_each_sgtable_dma_sg(ctx->sgt, sg, i) {
		dma_addr_t addr = sg_dma_address(sg);
		size_t len = sg_dma_len(sg);

		misaligned += !len || !PAGE_ALIGNED(addr) || !PAGE_ALIGNED(len);
		gaps += addr != next;
		next = addr + len;
		total += len;

		while (len && range < ctx->nr) {
			size_t part = min3(len, step(ctx),
					   ctx->vec[range].len - offset);

			wrong += reached(ctx, addr) !=
				 ctx->vec[range].paddr + offset;
			addr += part;
			len -= part;
			offset += part;
			if (offset == ctx->vec[range].len) {
				offset = 0;
				range++;
			}
		}
	}

	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages are not what was named");
	KUNIT_EXPECT_EQ(test, misaligned, 0);
	KUNIT_EXPECT_EQ(test, total, ctx->size);
	KUNIT_EXPECT_EQ(test, range, ctx->nr);
	if (ctx->route == ROUTE_IOMMU)
		KUNIT_EXPECT_EQ_MSG(test, gaps, 0, "more than one range of addresses");
}

static void expect_no_cpu_side(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	struct scatterlist *sg;
	size_t pages = 0;
	int i;

	KUNIT_EXPECT_EQ(test, ctx->cpu_entries, 0);
	for_each_sgtable_dma_sg(ctx->sgt, sg, i)
		pages += !!sg_page(sg);
	KUNIT_EXPECT_EQ_MSG(test, pages, 0, "entries have a page");
}

/*
 * What is in use when nothing is mapped. The first mapping of its size leaves
 * something in caches, and makes the IOMMU code go to larger addresses for good
 * if there are too few small ones, so that is had out first.
 */
static struct kunit_dma_usage usage(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage usage;

	if (!map(test))
		unmap(test);

	usage = kunit_dma_usage(ctx->dev);
	/* Every CPU keeps small ranges of addresses for itself. */
	if (ctx->route == ROUTE_IOMMU_FULL || ctx->size < LARGE_RANGE)
		usage.iova = 0;

	return usage;
}

/* Map, look, unmap, and expect that nothing is left. */
static void map_and_expect(struct kunit *test, unsigned int entries)
{
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before = usage(test);

	KUNIT_ASSERT_EQ(test, 0, map(test));
	KUNIT_EXPECT_EQ(test, ctx->sgt->nents, entries);
	expect_ranges_reached(test);
	expect_no_cpu_side(test);
	unmap(test);

	KUNIT_EXPECT_FALSE(test, still_translated(ctx));
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static const struct number_param {
	const char *desc;
	enum route route;
	size_t nr;
} number_params[] = {
	{ "below one switch, 1", ROUTE_BUS, 1 },
	{ "below one switch, 2", ROUTE_BUS, 2 },
	{ "below one switch, 3", ROUTE_BUS, 3 },
	{ "below one switch, 1000", ROUTE_BUS, 1000 },
	{ "below one switch, 100000", ROUTE_BUS, 100000 },
	{ "host bridge with an IOMMU, 1", ROUTE_IOMMU, 1 },
	{ "host bridge with an IOMMU, 2", ROUTE_IOMMU, 2 },
	{ "host bridge with an IOMMU, 3", ROUTE_IOMMU, 3 },
	{ "host bridge with an IOMMU, 1000", ROUTE_IOMMU, 1000 },
	{ "host bridge with an IOMMU, 100000", ROUTE_IOMMU, 100000 },
	{ "IOMMU short of addresses, 1", ROUTE_IOMMU_FULL, 1 },
	{ "IOMMU short of addresses, 2", ROUTE_IOMMU_FULL, 2 },
	{ "IOMMU short of addresses, 3", ROUTE_IOMMU_FULL, 3 },
	{ "IOMMU short of addresses, 1000", ROUTE_IOMMU_FULL, 1000 },
	{ "host bridge without an IOMMU, 1", ROUTE_DIRECT, 1 },
	{ "host bridge without an IOMMU, 2", ROUTE_DIRECT, 2 },
	{ "host bridge without an IOMMU, 3", ROUTE_DIRECT, 3 },
	{ "host bridge without an IOMMU, 1000", ROUTE_DIRECT, 1000 },
	{ "host bridge without an IOMMU, 100000", ROUTE_DIRECT, 100000 },
};

KUNIT_ARRAY_PARAM_DESC(number, number_params, desc);

static void device_reaches_every_range_in_order(struct kunit *test)
{
	const struct number_param *param = test->param_value;

	use_route(test, param->route);
	scatter_ranges(test, param->nr);
	map_and_expect(test, param->route == ROUTE_IOMMU ? 1 : param->nr);
}

static void bus_address_is_not_translated(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	struct iommu_domain *domain;

	use_route(test, ROUTE_BUS);
	domain = iommu_get_domain_for_dev(ctx->dev);
	if (!domain)
		kunit_skip(test, "no IOMMU above the switch");

	one_range(test, bar_start(), SZ_1M);
	KUNIT_ASSERT_EQ(test, 0, map(test));
	KUNIT_EXPECT_EQ(test, ctx->iova, pci_bus_address(provider, PROVIDER_BAR));
	KUNIT_EXPECT_EQ(test, 0, iommu_iova_to_phys(domain, ctx->iova));
	unmap(test);
}

static void use_bus_offset(struct mapping_ctx *ctx, u64 offset)
{
	ctx->elsewhere = *ctx->provider;
	ctx->elsewhere.bus_offset += offset;
	ctx->provider = &ctx->elsewhere;
}

static void bus_address_has_offset_of_provider(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;

	use_route(test, ROUTE_BUS);
	use_bus_offset(ctx, SZ_1G + SZ_1M);
	scatter_ranges(test, 3);
	KUNIT_ASSERT_EQ(test, 0, map(test));
	KUNIT_EXPECT_EQ(test, ctx->iova, ctx->vec[0].paddr +
			ctx->elsewhere.bus_offset);
	expect_ranges_reached(test);
	unmap(test);
}

static const struct seen_param {
	const char *desc;
	enum route route;
	size_t across;		/* where a range has a boundary inside */
	size_t below;		/* and where it has not */
} seen_params[] = {
	{ "bus address", ROUTE_BUS, 0, SZ_64K },
	{ "physical address", ROUTE_DIRECT, SZ_1M - SZ_64K, 0 },
};

KUNIT_ARRAY_PARAM_DESC(seen, seen_params, desc);

/* The boundary that counts is one of what the device gets to see. */
static void address_the_device_sees_decides_where_to_split(struct kunit *test)
{
	const struct seen_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;

	use_route(test, param->route);
	dma_set_seg_boundary(ctx->dev, SZ_1M - 1);
	use_bus_offset(ctx, SZ_1M - SZ_64K);

	one_range(test, FAR_AWAY + param->across, SZ_128K);
	map_and_expect(test, 2);
	one_range(test, FAR_AWAY + param->below, SZ_128K);
	map_and_expect(test, 1);
}

static void translation_is_complete_after_one_sync(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;

	use_route(test, ROUTE_IOMMU);
	scatter_ranges(test, 3);
	kunit_override_nth(test, &ctx->calls, "dma_iova_sync", 0);

	KUNIT_ASSERT_EQ(test, 0, map(test));
	KUNIT_EXPECT_EQ(test, ctx->calls.nr, 1);
	unmap(test);
}

/* Those that machines with importers that are not coherent have. */
static const struct route_param noncoherent_params[] = {
	{ "below one switch", ROUTE_BUS },
	{ "host bridge with an IOMMU", ROUTE_IOMMU },
	{ "host bridge with an IOMMU short of addresses", ROUTE_IOMMU_FULL },
};

KUNIT_ARRAY_PARAM_DESC(noncoherent, noncoherent_params, desc);

/* Device memory is not cached, so nothing is done for an importer that needs it. */
static void caches_are_left_alone(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;

	use_route(test, param->route);
	kunit_dma_set_coherent(ctx->dev, false);
	kunit_dma_skip_unless_coherent(test, ctx->dev, false);
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, DMA_BIT_MASK(64)));
	kunit_override_nth(test, &ctx->maintenance, "arch_sync_dma_for_device", 0);
	kunit_override_nth(test, &ctx->maintenance, "arch_sync_dma_for_cpu", 0);
	scatter_ranges(test, 3);

	kunit_begin_calls(&ctx->maintenance, 0);
	KUNIT_EXPECT_EQ(test, 0, map(test));
	if (ctx->sgt)
		unmap(test);

	/* Nor when it is undone half way. */
	if (param->route == ROUTE_IOMMU) {
		kunit_override_nth(test, &ctx->calls, "dma_iova_sync", -ENOSPC);
		ctx->nth = 1;
		KUNIT_EXPECT_EQ(test, -ENOSPC, map(test));
		ctx->nth = 0;
	}
	kunit_end_calls(&ctx->maintenance);
	KUNIT_EXPECT_EQ(test, ctx->maintenance.nr, 0);
}

/* Limits of the importer */

#define LARGE	(5ULL * SZ_1G)

static const struct limit_param {
	const char *desc;
	phys_addr_t paddr;
	size_t len;
	unsigned int max_seg_size;
	unsigned long seg_boundary;
	unsigned int entries;
} limit_params[] = {
	{ "a page less than 2 GiB", FAR_AWAY, SZ_2G - SZ_4K, UINT_MAX, U32_MAX, 1 },
	{ "2 GiB", FAR_AWAY, SZ_2G, UINT_MAX, U32_MAX, 1 },
	{ "a page more than 2 GiB", FAR_AWAY, SZ_2G + SZ_4K, UINT_MAX, U32_MAX, 2 },
	{ "a page less than 4 GiB", FAR_AWAY, SZ_4G - SZ_4K, UINT_MAX, U32_MAX, 2 },
	{ "4 GiB", FAR_AWAY, SZ_4G, UINT_MAX, U32_MAX, 2 },
	{ "a page more than 4 GiB", FAR_AWAY, SZ_4G + SZ_4K, UINT_MAX, U32_MAX, 3 },
	{ "5 GiB", FAR_AWAY, LARGE, UINT_MAX, ULONG_MAX, 3 },
	{ "5 GiB, boundary of 1 GiB", FAR_AWAY, LARGE, UINT_MAX, SZ_1G - 1, 5 },
	{ "64 KiB at most, a page less", FAR_AWAY, SZ_64K - SZ_4K, SZ_64K, U32_MAX, 1 },
	{ "64 KiB at most, all of it", FAR_AWAY, SZ_64K, SZ_64K, U32_MAX, 1 },
	{ "64 KiB at most, a page more", FAR_AWAY, SZ_64K + SZ_4K, SZ_64K, U32_MAX, 2 },
	{ "a byte less than 64 KiB at most", FAR_AWAY, SZ_64K, SZ_64K - 1, U32_MAX, 2 },
	{ "a page at most", FAR_AWAY, SZ_64K, SZ_4K, U32_MAX, SZ_64K / SZ_4K },
	{ "boundary of a page", FAR_AWAY, SZ_64K, UINT_MAX, SZ_4K - 1, SZ_64K / SZ_4K },
	{ "boundary of 1 MiB", FAR_AWAY, SZ_2M, UINT_MAX, SZ_1M - 1, 2 },
};

KUNIT_ARRAY_PARAM_DESC(limit, limit_params, desc);

static void expect_limits_kept(struct kunit *test, const struct limit_param *param)
{
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	struct scatterlist *sg;
	size_t wrong = 0;
	int i;

	if (PAGE_SIZE != SZ_4K)
		kunit_skip(test, "the limits are for pages of 4 KiB");

	dma_set_max_seg_size(ctx->dev, param->max_seg_size);
	dma_set_seg_boundary(ctx->dev, param->seg_boundary);
	before = usage(test);

	KUNIT_ASSERT_EQ(test, 0, map(test));
	for_each_sgtable_dma_sg(ctx->sgt, sg, i) {
		u64 last = sg_dma_address(sg) + sg_dma_len(sg) - 1;

		wrong += sg_dma_len(sg) > param->max_seg_size ||
			 (sg_dma_address(sg) | param->seg_boundary) !=
			 (last | param->seg_boundary);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "entries are more than the importer takes");
	KUNIT_EXPECT_EQ(test, ctx->sgt->nents, param->entries);
	expect_ranges_reached(test);
	unmap(test);

	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void expect_split_on(struct kunit *test, enum route route)
{
	const struct limit_param *param = test->param_value;

	use_route(test, route);
	one_range(test, param->paddr, param->len);
	expect_limits_kept(test, param);
}

static void splits_for_importer_below_switch(struct kunit *test)
{
	expect_split_on(test, ROUTE_BUS);
}

static void splits_for_importer_behind_iommu(struct kunit *test)
{
	expect_split_on(test, ROUTE_IOMMU);
}

static void splits_for_importer_behind_full_iommu(struct kunit *test)
{
	expect_split_on(test, ROUTE_IOMMU_FULL);
}

static void splits_for_importer_without_iommu(struct kunit *test)
{
	expect_split_on(test, ROUTE_DIRECT);
}

/* A range that starts in the middle of an entry is cut where the entry ends. */
static void splits_at_boundary_inside_range(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct limit_param limit = {
		.max_seg_size = UINT_MAX,
		.seg_boundary = SZ_1M - 1,
		.entries = 2,
	};

	use_route(test, param->route);
	one_range(test, FAR_AWAY + SZ_1M - SZ_64K, SZ_128K);
	/* The IOMMU puts it where there is no boundary inside. */
	if (param->route == ROUTE_IOMMU)
		limit.entries = 1;
	expect_limits_kept(test, &limit);
}

static void splits_each_of_several_large_ranges(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	unsigned int i;

	use_route(test, param->route);
	use_ranges(test, 3);
	for (i = 0; i < ctx->nr; i++) {
		ctx->vec[i].paddr = FAR_AWAY + i * SZ_8G;
		ctx->vec[i].len = SZ_4G + SZ_4M;
	}
	add_up(ctx);
	/* 12 GiB and 12 MiB in one piece, or three times 2, 2 and a rest. */
	map_and_expect(test, param->route == ROUTE_IOMMU ? 7 : 9);
}

/* However many entries it takes, they are undone as they were made. */
static void large_range_is_unmapped_as_it_was_mapped(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;

	use_route(test, param->route);
	one_range(test, FAR_AWAY, SZ_4G + SZ_4M);
	before = kunit_dma_usage(ctx->dev);

	KUNIT_ASSERT_EQ(test, 0, map(test));
	KUNIT_EXPECT_GT(test, ctx->sgt->nents, 1);
	expect_ranges_reached(test);
	unmap(test);

	/* What the allocator of addresses keeps is not what this is about. */
	before.iova = 0;
	KUNIT_EXPECT_FALSE(test, still_translated(ctx));
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void refuses_importer_with_entries_below_page(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;

	use_any_client(test);
	one_range(test, bar_start(), PAGE_SIZE);

	dma_set_max_seg_size(ctx->dev, PAGE_SIZE - 1);
	KUNIT_EXPECT_EQ(test, -EINVAL, map(test));
	KUNIT_EXPECT_EQ(test, ctx->allocations, 0);

	dma_set_max_seg_size(ctx->dev, UINT_MAX);
	dma_set_seg_boundary(ctx->dev, PAGE_SIZE / 2 - 1);
	KUNIT_EXPECT_EQ(test, -EINVAL, map(test));
	KUNIT_EXPECT_EQ(test, ctx->allocations, 0);
}

/* Bad input */

#define TOP	(~0ULL & PAGE_MASK)

static const struct invalid_param {
	const char *desc;
	struct phys_vec vec[3];
	size_t nr;
	size_t size;
} invalid_params[] = {
	{ "no ranges", {}, 0, 0 },
	{ "no ranges, but a size", {}, 0, PAGE_SIZE },
	{ "an empty range", { { FAR_AWAY, 0 } }, 1, 0 },
	{ "an empty range, but a size", { { FAR_AWAY, 0 } }, 1, PAGE_SIZE },
	{ "an empty range behind another",
	  { { FAR_AWAY, PAGE_SIZE }, { FAR_AWAY, 0 } }, 2, PAGE_SIZE },
	{ "an empty range between others",
	  { { FAR_AWAY, PAGE_SIZE }, { FAR_AWAY, 0 }, { FAR_AWAY, PAGE_SIZE } },
	  3, 2 * PAGE_SIZE },
	{ "an address off by a byte", { { FAR_AWAY + 1, PAGE_SIZE } }, 1, PAGE_SIZE },
	{ "an address a byte too low", { { FAR_AWAY - 1, PAGE_SIZE } }, 1, PAGE_SIZE },
	{ "an address off by half a page",
	  { { FAR_AWAY + PAGE_SIZE / 2, PAGE_SIZE } }, 1, PAGE_SIZE },
	{ "a second address off by a byte",
	  { { FAR_AWAY, PAGE_SIZE }, { FAR_AWAY + PAGE_SIZE + 1, PAGE_SIZE } },
	  2, 2 * PAGE_SIZE },
	{ "a byte less than a page", { { FAR_AWAY, PAGE_SIZE - 1 } }, 1, PAGE_SIZE - 1 },
	{ "a byte more than a page", { { FAR_AWAY, PAGE_SIZE + 1 } }, 1, PAGE_SIZE + 1 },
	{ "a byte in a second range",
	  { { FAR_AWAY, PAGE_SIZE }, { FAR_AWAY + PAGE_SIZE, 1 } }, 2, PAGE_SIZE + 1 },
	{ "an end at the last address", { { TOP, PAGE_SIZE } }, 1, PAGE_SIZE },
	{ "an end behind the last address", { { TOP, 2 * PAGE_SIZE } }, 1, 2 * PAGE_SIZE },
	{ "a second range behind the last address",
	  { { FAR_AWAY, PAGE_SIZE }, { TOP, 2 * PAGE_SIZE } }, 2, 3 * PAGE_SIZE },
	{ "a byte less than the ranges", { { FAR_AWAY, PAGE_SIZE } }, 1, PAGE_SIZE - 1 },
	{ "a byte more than the ranges", { { FAR_AWAY, PAGE_SIZE } }, 1, PAGE_SIZE + 1 },
	{ "a page less than the ranges",
	  { { FAR_AWAY, PAGE_SIZE }, { FAR_AWAY, PAGE_SIZE } }, 2, PAGE_SIZE },
	{ "a page more than the ranges", { { FAR_AWAY, PAGE_SIZE } }, 1, 2 * PAGE_SIZE },
	{ "a size of 0", { { FAR_AWAY, PAGE_SIZE } }, 1, 0 },
	{ "lengths that add up to 2^64",
	  { { 0, 1ULL << 63 }, { 0, 1ULL << 63 } }, 2, 0 },
	{ "lengths that add up to more than 2^64",
	  { { 0, 1ULL << 63 }, { 0, 1ULL << 63 }, { 0, PAGE_SIZE } }, 3, PAGE_SIZE },
	{ "lengths that add up to 2^63",
	  { { 0, 1ULL << 62 }, { 0, 1ULL << 62 } }, 2, 1ULL << 63 },
};

KUNIT_ARRAY_PARAM_DESC(invalid, invalid_params, desc);

static void refuses_invalid_ranges(struct kunit *test)
{
	const struct invalid_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;

	use_any_client(test);
	use_ranges(test, ARRAY_SIZE(param->vec));
	memcpy(ctx->vec, param->vec, sizeof(param->vec));
	ctx->nr = param->nr;
	ctx->size = param->size;
	before = kunit_dma_usage(ctx->dev);

	KUNIT_EXPECT_EQ(test, -EINVAL, map(test));
	KUNIT_EXPECT_EQ_MSG(test, ctx->allocations, 0, "memory was allocated");
	KUNIT_EXPECT_EQ_MSG(test, ctx->printed, 0, "something was printed");

	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void refuses_bar_without_provider(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;

	use_any_client(test);
	scatter_ranges(test, 3);
	ctx->provider = pcim_p2pdma_provider(provider, PCI_STD_NUM_BARS);
	KUNIT_ASSERT_NULL(test, ctx->provider);

	KUNIT_EXPECT_EQ(test, -EINVAL, map(test));
	KUNIT_EXPECT_EQ(test, ctx->allocations, 0);
	KUNIT_EXPECT_EQ(test, ctx->printed, 0);
}

/* More entries than can be counted, out of one range that is valid. */
static void refuses_more_entries_than_can_be_counted(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;

	use_route(test, param->route);
	dma_set_max_seg_size(ctx->dev, PAGE_SIZE);
	one_range(test, 0, (INT_MAX + 1ULL) * PAGE_SIZE);
	before = usage(test);

	KUNIT_EXPECT_EQ(test, -EINVAL, map(test));
	KUNIT_EXPECT_EQ(test, ctx->printed, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Hardly anybody has the memory for so many, so they are not asked for here. */
static void takes_as_many_entries_as_can_be_counted(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;

	use_route(test, param->route);
	dma_set_max_seg_size(ctx->dev, PAGE_SIZE);
	kunit_override_every(test, &ctx->calls, "sg_alloc_table", -ENOMEM);
	one_range(test, 0, INT_MAX * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, -ENOMEM, map(test));
}

/* No way there */

static void refuses_device_without_route(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS && clients[i]; i++)
		if (pci_p2pdma_distance(provider, &clients[i]->dev, false) < 0)
			break;
	if (i == MAX_CLIENTS || !clients[i])
		kunit_skip(test, "every device reaches the memory");

	use_client(test, clients[i]);
	scatter_ranges(test, 3);
	before = kunit_dma_usage(ctx->dev);

	KUNIT_EXPECT_EQ(test, -EREMOTEIO, map(test));
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, map(test));
	KUNIT_EXPECT_EQ(test, ctx->allocations, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void refuses_device_that_is_not_pci(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	struct dma_buf_attachment *attach;
	struct device *dev;

	dev = kunit_device_register(test, "dma_buf_mapping");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, 0, dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	ctx->attach = dma_buf_dynamic_attach(ctx->dmabuf, dev, &importer_ops, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->attach);

	scatter_ranges(test, 3);
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, map(test));
	KUNIT_EXPECT_EQ(test, ctx->allocations, 0);

	/* The device goes before the dma-buf does. */
	attach = ctx->attach;
	ctx->attach = NULL;
	dma_buf_detach(ctx->dmabuf, attach);
}

static void refuses_bus_address_out_of_dma_mask(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	unsigned int bits;

	use_route(test, ROUTE_BUS);
	one_range(test, bar_start(), SZ_64K);
	bits = fls64(bar_start() + SZ_64K - 1);

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, DMA_BIT_MASK(bits - 1)));
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, map(test));

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, DMA_BIT_MASK(bits)));
	map_and_expect(test, 1);

	/* To the last byte, and then one page more. */
	one_range(test, DMA_BIT_MASK(bits) + 1 - SZ_64K, SZ_64K);
	map_and_expect(test, 1);
	one_range(test, DMA_BIT_MASK(bits) + 1 - SZ_64K, SZ_64K + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EREMOTEIO, map(test));
}

static void refuses_memory_out_of_dma_mask_quietly(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned int bits;

	use_route(test, ROUTE_DIRECT);
	scatter_ranges(test, 3);
	bits = fls64(bar_start() + SZ_64K);
	before = usage(test);

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, DMA_BIT_MASK(bits - 1)));
	KUNIT_EXPECT_EQ(test, -ENOMEM, map(test));
	KUNIT_EXPECT_EQ_MSG(test, ctx->printed, 0, "the refusal is reported");

	/* The last one alone is out of reach. */
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, DMA_BIT_MASK(bits)));
	ctx->vec[2].paddr = DMA_BIT_MASK(bits) + 1;
	KUNIT_EXPECT_EQ(test, -ENOMEM, map(test));
	KUNIT_EXPECT_EQ(test, ctx->printed, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Errors */

static bool fail_nth_call(struct kunit *test, const struct fallible *fallible,
			  unsigned int nth)
{
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	long balance = ctx->balance;
	bool failed;
	int ret;

	/* Small ranges of addresses stay in the caches of the CPUs. */
	if (ctx->route == ROUTE_IOMMU_FULL &&
	    dma_get_max_seg_size(ctx->dev) < LARGE_RANGE)
		before.iova = 0;

	ctx->nth = nth;
	ret = map(test);
	failed = ctx->calls.nr >= nth;
	ctx->nth = 0;

	if (!ret) {
		KUNIT_EXPECT_TRUE_MSG(test, !failed || fallible->another_way,
				      "failure %u is ignored", nth);
		expect_ranges_reached(test);
		unmap(test);
	}
	KUNIT_EXPECT_TRUE_MSG(test, !ret || failed, "error %d out of nothing", ret);
	KUNIT_EXPECT_FALSE_MSG(test, ctx->got_null, "failure %u gives NULL", nth);
	KUNIT_EXPECT_TRUE_MSG(test, !ret || ret == -ENOMEM || ret == -ENOSPC,
			      "failure %u gives error %d", nth, ret);
	KUNIT_EXPECT_EQ_MSG(test, ctx->balance, balance,
			    "memory is lost by failure %u", nth);
	KUNIT_EXPECT_FALSE_MSG(test, still_translated(ctx),
			       "translated after failure %u", nth);
	KUNIT_EXPECT_EQ_MSG(test, ctx->printed, 0, "failure %u is reported", nth);
	kunit_expect_dma_usage(test, ctx->dev, &before);

	return failed;
}

/*
 * Four MiB altogether, aligned to no more than pages: their page tables
 * hold nothing else, so that they may come and go with each mapping. No range is
 * in two tables: the Intel driver leaves its first part mapped if there is no
 * memory for the second table.
 */
static void use_ranges_with_own_page_tables(struct kunit *test)
{
	struct mapping_ctx *ctx = test->priv;

	use_ranges(test, 3);
	ctx->vec[0] = (struct phys_vec) { FAR_AWAY + PAGE_SIZE, SZ_2M };
	ctx->vec[1] = (struct phys_vec) { FAR_AWAY + SZ_64M + 2 * PAGE_SIZE,
					   SZ_1M };
	ctx->vec[2] = (struct phys_vec) { FAR_AWAY + SZ_8M + PAGE_SIZE, SZ_1M };
	add_up(ctx);
}

static const struct failure_param {
	const char *desc;
	enum route route;
	unsigned int failures;	/* at least this many calls can fail */
} failure_params[] = {
	/* the mapping and its list */
	{ "below one switch", ROUTE_BUS, 2 },
	/* also the range, three links and one sync; page tables come on top */
	{ "host bridge with an IOMMU", ROUTE_IOMMU, 7 },
	/* every range is mapped, which needs addresses */
	{ "host bridge with an IOMMU short of addresses", ROUTE_IOMMU_FULL, 8 },
	{ "host bridge without an IOMMU", ROUTE_DIRECT, 5 },
};

KUNIT_ARRAY_PARAM_DESC(failure, failure_params, desc);

/*
 * Let every call fail that can, with entries of a size, until none is left. One
 * function at a time: how often memory is allocated may differ from one time to
 * the next, and that must not hide the calls that come after it.
 */
static void fail_every_call(struct kunit *test, unsigned int entry_size)
{
	const struct failure_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	struct dma_iova_state state = {};
	unsigned int i, nth, failures = 0;
	struct kunit_override *override;

	use_route(test, param->route);
	use_ranges_with_own_page_tables(test);
	dma_set_max_seg_size(ctx->dev, entry_size);

	/*
	 * What the first one leaves in caches must not look like a leak, nor a
	 * message look like a report: when there are no more small addresses,
	 * the IOMMU code says once that it takes larger ones.
	 */
	KUNIT_ASSERT_EQ(test, 0, map(test));
	unmap(test);
	if (dma_iova_try_alloc(ctx->dev, &state, 0, SZ_4G))
		dma_iova_free(ctx->dev, &state);

	for (i = 0; i < ARRAY_SIZE(fallible); i++) {
		override = kunit_override_nth(test, &ctx->calls,
					      fallible[i].function,
					      fallible[i].failure);
		for (nth = 1; fail_nth_call(test, &fallible[i], nth); nth++)
			KUNIT_ASSERT_LT_MSG(test, nth, 10000,
					    "there is always a failure");
		kunit_end_override(test, override);
		failures += nth - 1;
	}

	KUNIT_EXPECT_GE(test, failures, param->failures);
}

static void any_failure_leaves_nothing_behind(struct kunit *test)
{
	const struct failure_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;

	fail_every_call(test, UINT_MAX);
	map_and_expect(test, param->route == ROUTE_IOMMU ? 1 : ctx->nr);
}

/* With entries on several pages, and failures in the middle of a split range. */
static void any_failure_of_long_list_leaves_nothing_behind(struct kunit *test)
{
	fail_every_call(test, 2 * PAGE_SIZE);
}

/* Nothing accumulates */

static void repeated_mappings_leak_nothing(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	const int rounds = 300;
	unsigned long before;
	long balance, lost;
	int i;

	use_route(test, param->route);
	scatter_ranges(test, 200);
	/*
	 * Entries of a page make a list of three pages. Of those, a leak takes
	 * more than the CPUs keep for themselves.
	 */
	dma_set_max_seg_size(ctx->dev, PAGE_SIZE);

	/* As many again, before, fill the caches and tables of the IOMMU. */
	for (i = 0; i < rounds; i++) {
		KUNIT_ASSERT_EQ(test, 0, map(test));
		unmap(test);
	}

	balance = ctx->balance;
	before = global_zone_page_state(NR_FREE_PAGES);
	for (i = 0; i < rounds; i++) {
		KUNIT_ASSERT_EQ(test, 0, map(test));
		unmap(test);
	}
	lost = before - global_zone_page_state(NR_FREE_PAGES);

	KUNIT_EXPECT_EQ_MSG(test, ctx->balance, balance, "objects are lost");
	/* KASAN keeps what has been freed in quarantine, which takes pages. */
	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		KUNIT_EXPECT_LT_MSG(test, lost, 2 * rounds, "pages are lost");
}

static const enum dma_data_direction directions[] = {
	DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE,
};

static void maps_in_every_direction(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned int i;

	use_route(test, param->route);
	scatter_ranges(test, 3);
	before = usage(test);

	for (i = 0; i < ARRAY_SIZE(directions); i++) {
		KUNIT_ASSERT_EQ(test, 0, map_for(test, directions[i]));
		expect_ranges_reached(test);
		unmap_for(ctx, directions[i]);
	}

	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void same_memory_can_be_mapped_twice(struct kunit *test)
{
	const struct route_param *param = test->param_value;
	struct mapping_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	struct sg_table *first;
	dma_addr_t first_iova;

	use_route(test, param->route);
	scatter_ranges(test, 3);
	before = usage(test);

	KUNIT_ASSERT_EQ(test, 0, map(test));
	first = ctx->sgt;
	first_iova = ctx->iova;
	KUNIT_ASSERT_EQ(test, 0, map(test));
	swap(first, ctx->sgt);
	swap(first_iova, ctx->iova);
	unmap(test);

	/* The second one is still what it was. */
	ctx->sgt = first;
	ctx->iova = first_iova;
	expect_ranges_reached(test);
	unmap(test);

	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Set-up */

static void release_exporter(void *data)
{
	struct mapping_ctx *ctx = data;

	if (ctx->sgt)
		unmap_for(ctx, DMA_BIDIRECTIONAL);
	if (!IS_ERR_OR_NULL(ctx->attach))
		dma_buf_detach(ctx->dmabuf, ctx->attach);
	dma_buf_put(ctx->dmabuf);

	if (ctx->dev)
		kunit_dma_apply(ctx->dev, &ctx->settings);
}

static int dma_buf_mapping_init(struct kunit *test)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct mapping_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;
	ctx->task = current;

	if (!provider)
		kunit_skip(test, "no PCI device with memory in a BAR");
	ctx->provider = pcim_p2pdma_provider(provider, PROVIDER_BAR);
	KUNIT_ASSERT_NOT_NULL(test, ctx->provider);

	exp_info.ops = &mapping_ops;
	exp_info.size = pci_resource_len(provider, PROVIDER_BAR);
	exp_info.flags = O_RDWR;
	exp_info.priv = ctx;
	ctx->dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dmabuf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, release_exporter, ctx));

	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);

	return 0;
}

static int dma_buf_mapping_suite_init(struct kunit_suite *suite)
{
	return pci_register_driver(&mapping_driver);
}

static void dma_buf_mapping_suite_exit(struct kunit_suite *suite)
{
	pci_unregister_driver(&mapping_driver);
}

static struct kunit_case dma_buf_mapping_cases[] = {
	KUNIT_CASE_PARAM(device_reaches_every_range_in_order, number_gen_params),
	KUNIT_CASE(bus_address_is_not_translated),
	KUNIT_CASE(bus_address_has_offset_of_provider),
	KUNIT_CASE_PARAM(address_the_device_sees_decides_where_to_split, seen_gen_params),
	KUNIT_CASE(translation_is_complete_after_one_sync),
	KUNIT_CASE_PARAM(caches_are_left_alone, noncoherent_gen_params),
	KUNIT_CASE_PARAM(splits_for_importer_below_switch, limit_gen_params),
	KUNIT_CASE_PARAM(splits_for_importer_behind_iommu, limit_gen_params),
	KUNIT_CASE_PARAM(splits_for_importer_behind_full_iommu, limit_gen_params),
	KUNIT_CASE_PARAM(splits_for_importer_without_iommu, limit_gen_params),
	KUNIT_CASE_PARAM(splits_at_boundary_inside_range, route_gen_params),
	KUNIT_CASE_PARAM(splits_each_of_several_large_ranges, route_gen_params),
	KUNIT_CASE_PARAM(large_range_is_unmapped_as_it_was_mapped, route_gen_params),
	KUNIT_CASE(refuses_importer_with_entries_below_page),
	KUNIT_CASE_PARAM(refuses_invalid_ranges, invalid_gen_params),
	KUNIT_CASE(refuses_bar_without_provider),
	KUNIT_CASE_PARAM(refuses_more_entries_than_can_be_counted, route_gen_params),
	KUNIT_CASE_PARAM(takes_as_many_entries_as_can_be_counted, route_gen_params),
	KUNIT_CASE(refuses_device_without_route),
	KUNIT_CASE(refuses_device_that_is_not_pci),
	KUNIT_CASE(refuses_bus_address_out_of_dma_mask),
	KUNIT_CASE(refuses_memory_out_of_dma_mask_quietly),
	KUNIT_CASE_PARAM(any_failure_leaves_nothing_behind, failure_gen_params),
	KUNIT_CASE_PARAM(any_failure_of_long_list_leaves_nothing_behind, failure_gen_params),
	KUNIT_CASE_PARAM(repeated_mappings_leak_nothing, route_gen_params),
	KUNIT_CASE_PARAM(maps_in_every_direction, route_gen_params),
	KUNIT_CASE_PARAM(same_memory_can_be_mapped_twice, route_gen_params),
	{}
};

static struct kunit_suite dma_buf_mapping_suite = {
	.name = "dma_buf_mapping",
	.suite_init = dma_buf_mapping_suite_init,
	.suite_exit = dma_buf_mapping_suite_exit,
	.init = dma_buf_mapping_init,
	.test_cases = dma_buf_mapping_cases,
};

kunit_test_suite(dma_buf_mapping_suite);

MODULE_DESCRIPTION("KUnit tests for DMA mappings of device memory");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");

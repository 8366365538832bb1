// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the DMA mappings of user memory.
 *
 * A process goes on using the memory that it has registered with an RDMA
 * device, and no verb tells either side to sync. So the device has to get the
 * very pages of the process, or the registration has to fail. Both is tested
 * with memory of a real address space, and the memory behind a DMA address is
 * looked at the way the device does: through the page table of the IOMMU if
 * there is one.
 *
 * The RDMA device is a fake of which only the DMA device counts: a device of
 * KUnit, which is never behind an IOMMU, or QEMU's edu, a PCI device that has
 * no part in this but its place on the bus. It is bound to a driver for as long
 * as the suite runs, so that the kernel sets up its DMA.
 *
 * What is in the way of a mapping is brought about by what a platform or a
 * driver can really set. Each refusal is followed by its mirror: with the
 * obstacle out of the way, the same device gets the same memory. A machine
 * cannot have every obstacle at once, so a case that needs another machine is
 * skipped and says which.
 */

/*
 * Newer kernels have ib_umem_get() as an inline function of this name. Let the
 * header define it under the old one.
 */
#define ib_umem_get_va	ib_umem_get

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/iommu.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/pid.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_umem_odp.h>
#include <rdma/ib_verbs.h>
#include <xen/xen.h>

/*
 * More than the IOVA allocator keeps in its per-CPU caches: what is freed is
 * free for everybody, and kunit_dma_usage() shows it.
 */
#define NR_PAGES	64
#define SIZE		(NR_PAGES * PAGE_SIZE)

#define PAGE		3	/* index of the page for which one will do */

/* More often than dma-debug takes for a leak. */
#define NR_TIMES	20

#define ACCESS		(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE)

enum dma_device {
	DIRECT,		/* never behind an IOMMU */
	PCI,		/* behind the IOMMU, if there is one */
	UNTRUSTED,	/* behind the IOMMU, which has to keep it from other data */
	VIRTUAL,	/* none: what the RDMA device gets are virtual addresses */
};

/* What the tracepoints showed. */
struct observed {
	unsigned int maps;
	unsigned int unmaps;
	unsigned long map_attrs;
	unsigned long unmap_attrs;
};

struct umem_ctx {
	struct ib_device *ibdev;
	struct device *dev;
	struct kunit_dma_settings settings;	/* to go back to */
	unsigned long addr;		/* of the memory, in the process */
	struct page *pages[NR_PAGES];	/* each with a reference of ours */
	struct observed seen;
};

/* The PCI device */

static struct pci_dev *edu;

static const struct pci_device_id umem_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{}
};

static int umem_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	if (!edu)
		edu = pdev;

	return dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
}

static void umem_remove(struct pci_dev *pdev)
{
	if (pdev == edu)
		edu = NULL;
}

static struct pci_driver umem_driver = {
	.name = "umem-kunit",
	.id_table = umem_ids,
	.probe = umem_probe,
	.remove = umem_remove,
};

/* Tracepoints */

static void saw_map_sg(void *data, struct device *dev, struct scatterlist *sgl,
		       int nents, int ents, enum dma_data_direction dir,
		       unsigned long attrs)
{
	struct umem_ctx *ctx = data;

	if (dev != ctx->dev)
		return;

	ctx->seen.maps++;
	ctx->seen.map_attrs = attrs;
}

static void saw_unmap_sg(void *data, struct device *dev,
			 struct scatterlist *sgl, int nents,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct umem_ctx *ctx = data;

	if (dev != ctx->dev)
		return;

	ctx->seen.unmaps++;
	ctx->seen.unmap_attrs = attrs;
}

static const struct kunit_probe probes[] = {
	{ "dma_map_sg", saw_map_sg },
	{ "dma_unmap_sg", saw_unmap_sg },
};

/* The device */

static void restore_device(void *data)
{
	struct umem_ctx *ctx = data;

	kunit_dma_apply(ctx->dev, &ctx->settings);
}

/* Get an RDMA device whose DMA is coherent, with nothing in the way. */
static struct ib_device *use_device(struct kunit *test, enum dma_device device)
{
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_settings settings;
	struct device *dev;
	int ret;

	ctx->ibdev = kunit_kzalloc(test, sizeof(*ctx->ibdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->ibdev);

	if (device == VIRTUAL) {
		if (!ib_uses_virt_dma(ctx->ibdev))
			kunit_skip(test, "every device needs a DMA device here");
		return ctx->ibdev;
	}

	if (device == DIRECT) {
		dev = kunit_device_register(test, "umem-kunit");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
		ret = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
		KUNIT_ASSERT_EQ(test, ret, 0);
	} else if (edu) {
		dev = &edu->dev;
	} else {
		kunit_skip(test, "needs QEMU's edu");
	}

	if (device == UNTRUSTED && !use_dma_iommu(dev))
		kunit_skip(test, "needs an IOMMU");

	ctx->ibdev->dma_device = dev;
	ctx->dev = dev;
	ctx->settings = kunit_dma_settings(dev);
	ret = kunit_add_action_or_reset(test, restore_device, ctx);
	KUNIT_ASSERT_EQ(test, ret, 0);

	settings = ctx->settings;
	settings.coherent = true;
	settings.untrusted = device == UNTRUSTED;
	kunit_dma_apply(dev, &settings);
	kunit_dma_skip_unless_coherent(test, dev, true);

	return ctx->ibdev;
}

static void skip_if_bounce_is_forced(struct kunit *test)
{
	struct umem_ctx *ctx = test->priv;

	if (!use_dma_iommu(ctx->dev) && is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "swiotlb=force hides every other obstacle");
}

/*
 * With Xen below, what is contiguous for the kernel need not be contiguous for
 * the device, and cannot be mapped in one piece then.
 */
static void skip_if_mapped_by_ops(struct kunit *test)
{
	struct umem_ctx *ctx = test->priv;

	if (!use_dma_iommu(ctx->dev) && get_dma_ops(ctx->dev))
		kunit_skip(test, "cannot tell which memory can be mapped here");
}

/* Return the memory that the device reaches under a DMA address, or 0. */
static phys_addr_t phys_behind(struct umem_ctx *ctx, dma_addr_t addr)
{
	if (ib_uses_virt_dma(ctx->ibdev))
		return page_to_phys(ib_virt_dma_to_page(addr));
	if (use_dma_iommu(ctx->dev))
		return iommu_iova_to_phys(iommu_get_domain_for_dev(ctx->dev),
					  addr);

	return dma_to_phys(ctx->dev, addr);
}

/* The process */

/* Return where the process has the word by which a page is recognised. */
static u32 __user *user_word(struct umem_ctx *ctx, unsigned int page)
{
	return (u32 __user *)(ctx->addr + page * PAGE_SIZE);
}

static void put_pages(void *data)
{
	struct umem_ctx *ctx = data;
	unsigned int i;

	for (i = 0; i < NR_PAGES && ctx->pages[i]; i++)
		put_page(ctx->pages[i]);
}

static void use_memory(struct kunit *test)
{
	struct umem_ctx *ctx = test->priv;
	unsigned int i;
	int ret;

	ctx->addr = kunit_vm_mmap(test, NULL, 0, SIZE, PROT_READ | PROT_WRITE,
				  MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, ctx->addr, 0);
	KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED(ctx->addr));

	ret = kunit_add_action_or_reset(test, put_pages, ctx);
	KUNIT_ASSERT_EQ(test, ret, 0);
	ret = get_user_pages_fast(ctx->addr, NR_PAGES, FOLL_WRITE, ctx->pages);
	KUNIT_ASSERT_EQ(test, ret, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_ASSERT_EQ(test, put_user(i, user_word(ctx, i)), 0);
}

static bool is_pinned(struct umem_ctx *ctx, unsigned int page)
{
	return folio_maybe_dma_pinned(page_folio(ctx->pages[page]));
}

/* Return how many pages count against the limit of the process. */
static s64 pages_pinned(void)
{
	return atomic64_read(&current->mm->pinned_vm);
}

static void expect_pinned(struct kunit *test, s64 before)
{
	struct umem_ctx *ctx = test->priv;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, pages_pinned(), before);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_FALSE_MSG(test, is_pinned(ctx, i),
				       "page %u is still pinned", i);
}

/* Pinned memory */

static void release_umem(void *umem)
{
	ib_umem_release(umem);
}

/* Register the memory, for as long as the case runs or until release_action. */
static struct ib_umem *get_umem(struct kunit *test, int access)
{
	struct umem_ctx *ctx = test->priv;
	struct ib_umem *umem;
	int ret;

	umem = ib_umem_get(ctx->ibdev, ctx->addr, SIZE, access);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, umem);
	ret = kunit_add_action_or_reset(test, release_umem, umem);
	KUNIT_ASSERT_EQ(test, ret, 0);

	return umem;
}

/* Expect that the addresses of the device lead to the pages, one by one. */
static void expect_in_place(struct kunit *test, struct ib_umem *umem)
{
	struct umem_ctx *ctx = test->priv;
	struct sg_dma_page_iter iter;
	unsigned int page = 0;

	for_each_sgtable_dma_page(&umem->sgt_append.sgt, &iter, 0) {
		KUNIT_ASSERT_LT(test, page, NR_PAGES);
		KUNIT_EXPECT_EQ_MSG(test,
				    phys_behind(ctx, sg_page_iter_dma_address(&iter)),
				    page_to_phys(ctx->pages[page]),
				    "page %u", page);
		page++;
	}
	KUNIT_EXPECT_EQ(test, page, NR_PAGES);
}

/*
 * Try to register the memory, and expect that nothing is left if it is refused.
 * What an untrusted device is given goes back to the caches of the IOVA
 * allocator, so that it may look as if it were in use.
 */
static void expect_get(struct kunit *test, int expected)
{
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	s64 pinned = pages_pinned();
	struct ib_umem *umem;

	umem = ib_umem_get(ctx->ibdev, ctx->addr, SIZE, ACCESS);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(umem), expected);
	if (!expected || !IS_ERR(umem)) {
		KUNIT_EXPECT_TRUE(test, is_pinned(ctx, PAGE));
		KUNIT_EXPECT_EQ(test, pages_pinned(), pinned + NR_PAGES);
	}
	if (expected)
		kunit_expect_dma_usage(test, ctx->dev, &before);
	if (!IS_ERR(umem))
		ib_umem_release(umem);
	expect_pinned(test, pinned);
}

static const struct device_param {
	const char *desc;
	enum dma_device device;
} device_params[] = {
	{ "device without IOMMU", DIRECT },
	{ "PCI device", PCI },
	{ "untrusted PCI device behind an IOMMU", UNTRUSTED },
	{ "device that uses virtual addresses", VIRTUAL },
};

KUNIT_ARRAY_PARAM_DESC(device, device_params, desc);

static void prepare_umem(struct kunit *test)
{
	const struct device_param *param = test->param_value;

	use_device(test, param->device);
	if (param->device != VIRTUAL) {
		skip_if_bounce_is_forced(test);
		skip_if_mapped_by_ops(test);
	}
	use_memory(test);
}

static void maps_very_pages_of_process(struct kunit *test)
{
	prepare_umem(test);

	expect_in_place(test, get_umem(test, ACCESS));
}

static void process_and_device_see_each_others_writes(struct kunit *test)
{
	struct umem_ctx *ctx = test->priv;
	struct ib_umem *umem;
	phys_addr_t phys;
	u32 *word, value = 0;

	prepare_umem(test);
	umem = get_umem(test, ACCESS);
	phys = phys_behind(ctx, ib_umem_start_dma_addr(umem));
	word = kmap_local_page(pfn_to_page(PHYS_PFN(phys)));

	KUNIT_EXPECT_EQ(test, put_user(0x5a5a5a5a, user_word(ctx, 0)), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(*word), 0x5a5a5a5a);
	WRITE_ONCE(*word, 0xa5a5a5a5);
	KUNIT_EXPECT_EQ(test, get_user(value, user_word(ctx, 0)), 0);
	KUNIT_EXPECT_EQ(test, value, 0xa5a5a5a5);
	kunmap_local(word);

	/* Nor does a release bring back what was there in the beginning. */
	kunit_release_action(test, release_umem, umem);
	KUNIT_EXPECT_EQ(test, get_user(value, user_word(ctx, 0)), 0);
	KUNIT_EXPECT_EQ(test, value, 0xa5a5a5a5);
}

/* The attributes */

static const struct access_param {
	const char *desc;
	enum dma_device device;
	int access;
	unsigned long attrs;
} access_params[] = {
	{ "device may write", DIRECT, ACCESS, DMA_ATTR_REQUIRE_COHERENT },
	{ "device may only read", DIRECT, IB_ACCESS_REMOTE_READ,
	  DMA_ATTR_REQUIRE_COHERENT },
	{ "relaxed ordering", DIRECT, ACCESS | IB_ACCESS_RELAXED_ORDERING,
	  DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_WEAK_ORDERING },
	{ "PCI device may write", PCI, ACCESS, DMA_ATTR_REQUIRE_COHERENT },
	{ "PCI device may only read", PCI, IB_ACCESS_REMOTE_READ,
	  DMA_ATTR_REQUIRE_COHERENT },
	{ "PCI device, relaxed ordering", PCI, ACCESS | IB_ACCESS_RELAXED_ORDERING,
	  DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_WEAK_ORDERING },
};

KUNIT_ARRAY_PARAM_DESC(access, access_params, desc);

static void unmaps_with_attributes_of_mapping(struct kunit *test)
{
	const struct access_param *param = test->param_value;
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	s64 pinned;
	struct ib_umem *umem;

	use_device(test, param->device);
	skip_if_bounce_is_forced(test);
	skip_if_mapped_by_ops(test);
	use_memory(test);
	before = kunit_dma_usage(ctx->dev);
	pinned = pages_pinned();

	umem = get_umem(test, param->access);
	KUNIT_EXPECT_EQ(test, ctx->seen.maps, 1);
	KUNIT_EXPECT_EQ(test, ctx->seen.map_attrs, param->attrs);

	kunit_release_action(test, release_umem, umem);
	KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 1);
	KUNIT_EXPECT_EQ(test, ctx->seen.unmap_attrs, param->attrs);
	expect_pinned(test, pinned);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* A process may register the same memory again and again. */

static const struct device_param times_params[] = {
	{ "device without IOMMU", DIRECT },
	{ "PCI device", PCI },
};

KUNIT_ARRAY_PARAM_DESC(times, times_params, desc);

static void maps_same_memory_many_times(struct kunit *test)
{
	const struct device_param *param = test->param_value;
	struct umem_ctx *ctx = test->priv;
	struct ib_umem *umems[NR_TIMES];
	struct kunit_dma_usage before;
	s64 pinned;
	unsigned int i;

	use_device(test, param->device);
	skip_if_bounce_is_forced(test);
	skip_if_mapped_by_ops(test);
	use_memory(test);
	before = kunit_dma_usage(ctx->dev);
	pinned = pages_pinned();

	for (i = 0; i < NR_TIMES; i++)
		umems[i] = get_umem(test, i % 2 ? ACCESS :
				    ACCESS | IB_ACCESS_RELAXED_ORDERING);
	KUNIT_EXPECT_EQ_MSG(test, kunit_dma_usage(ctx->dev).errors,
			    before.errors, "dma-debug takes it for an error");
	expect_in_place(test, umems[0]);
	expect_in_place(test, umems[NR_TIMES - 1]);

	for (i = 0; i < NR_TIMES; i++)
		kunit_release_action(test, release_umem, umems[i]);
	expect_pinned(test, pinned);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Obstacles */

enum obstacle {
	NOT_COHERENT,
	BOUNCE_FORCED,
	DMA_MASK,
	BUS_LIMIT,
};

static const struct obstacle_param {
	const char *desc;
	enum obstacle obstacle;
	enum dma_device device;
} obstacle_params[] = {
	{ "device is not coherent", NOT_COHERENT, DIRECT },
	{ "PCI device is not coherent", NOT_COHERENT, PCI },
	{ "untrusted PCI device is not coherent", NOT_COHERENT, UNTRUSTED },
	{ "bounce is forced for device", BOUNCE_FORCED, DIRECT },
	{ "a page is above DMA mask", DMA_MASK, DIRECT },
	{ "last byte of a page is above bus limit", BUS_LIMIT, DIRECT },
};

KUNIT_ARRAY_PARAM_DESC(obstacle, obstacle_params, desc);

/* The highest page, so that a limit below its end is none for the others. */
static phys_addr_t highest_page(struct umem_ctx *ctx)
{
	phys_addr_t phys = 0;
	unsigned int i;

	for (i = 0; i < NR_PAGES; i++)
		phys = max(phys, page_to_phys(ctx->pages[i]));

	return phys;
}

/* Put something between the device and a page. */
static void put_obstacle(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_settings settings = kunit_dma_settings(ctx->dev);
	u64 mask = DMA_BIT_MASK(32);

	switch (param->obstacle) {
	case NOT_COHERENT:
		settings.coherent = false;
		kunit_dma_apply(ctx->dev, &settings);
		kunit_dma_skip_unless_coherent(test, ctx->dev, false);
		break;
	case BOUNCE_FORCED:
		/* A refusal has no use for slots. */
		ctx->dev->dma_io_tlb_mem = kunit_dma_empty_pool(test, true);
		break;
	case DMA_MASK:
		if (highest_page(ctx) <= mask)
			kunit_skip(test, "no memory above DMA mask %#llx", mask);
		KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, mask));
		break;
	case BUS_LIMIT:
		ctx->dev->bus_dma_limit =
			phys_to_dma(ctx->dev, highest_page(ctx)) + PAGE_SIZE - 2;
		break;
	}
}

static void remove_obstacle(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_settings settings = ctx->settings;

	settings.coherent = true;
	settings.untrusted = param->device == UNTRUSTED;
	kunit_dma_apply(ctx->dev, &settings);
}

static void prepare_obstacle(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;

	use_device(test, param->device);
	skip_if_bounce_is_forced(test);
	use_memory(test);
	put_obstacle(test);
}

static void refuses_memory_that_device_cannot_share(struct kunit *test)
{
	prepare_obstacle(test);
	skip_if_mapped_by_ops(test);

	expect_get(test, -EOPNOTSUPP);
	remove_obstacle(test);
	expect_get(test, 0);
}

/* Lift what swiotlb=force does, for one device. */
static void stop_forcing_bounce(struct kunit *test)
{
	struct umem_ctx *ctx = test->priv;

	ctx->dev->dma_io_tlb_mem = kunit_dma_empty_pool(test, false);
}

static void skip_unless_bounce_is_forced(struct kunit *test)
{
	struct umem_ctx *ctx = test->priv;

	if (!is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "needs swiotlb=force");
}

static void refuses_memory_when_bounce_is_forced_for_all(struct kunit *test)
{
	use_device(test, DIRECT);
	skip_unless_bounce_is_forced(test);
	use_memory(test);

	expect_get(test, -EOPNOTSUPP);
	stop_forcing_bounce(test);
	expect_get(test, 0);
}

/* On-demand paging */

/* What a driver does: after this, the pages are no longer ours. */
static bool odp_invalidate(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range,
			   unsigned long seq)
{
	struct ib_umem_odp *odp = container_of(notifier, struct ib_umem_odp,
					       notifier);

	if (!mmu_notifier_range_blockable(range))
		return false;

	mutex_lock(&odp->umem_mutex);
	mmu_interval_set_seq(notifier, seq);
	ib_umem_odp_unmap_dma_pages(odp, range->start, range->end);
	mutex_unlock(&odp->umem_mutex);

	return true;
}

static const struct mmu_interval_notifier_ops odp_ops = {
	.invalidate = odp_invalidate,
};

enum odp_kind {
	EXPLICIT,	/* a part of the address space */
	IMPLICIT,	/* all of it; maps nothing itself */
	CHILD,		/* of an implicit one, in which pages are mapped */
};

KUNIT_DEFINE_ACTION_WRAPPER(release_odp, ib_umem_odp_release, struct ib_umem_odp *);

static struct ib_umem_odp *odp_get(struct umem_ctx *ctx, enum odp_kind kind)
{
	if (kind == IMPLICIT)
		return ib_umem_odp_alloc_implicit(ctx->ibdev, ACCESS |
						  IB_ACCESS_ON_DEMAND);

	return ib_umem_odp_get(ctx->ibdev, ctx->addr, SIZE,
			       ACCESS | IB_ACCESS_ON_DEMAND, &odp_ops);
}

static struct ib_umem_odp *get_odp(struct kunit *test, enum odp_kind kind)
{
	struct umem_ctx *ctx = test->priv;
	struct ib_umem_odp *odp;
	int ret;

	if (kind == CHILD)
		odp = ib_umem_odp_alloc_child(get_odp(test, IMPLICIT), ctx->addr,
					      SIZE, &odp_ops);
	else
		odp = odp_get(ctx, kind);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, odp);
	ret = kunit_add_action_or_reset(test, release_odp, odp);
	KUNIT_ASSERT_EQ(test, ret, 0);

	return odp;
}

static unsigned int references_to_process(void)
{
	return refcount_read(&task_pid(current)->count);
}

/* Try a registration, and expect that nothing is left of the attempt. */
static void expect_odp(struct kunit *test, enum odp_kind kind, int expected)
{
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_usage before = {};
	s64 pinned = pages_pinned();
	unsigned int references = references_to_process();
	struct ib_umem_odp *odp;

	if (ctx->dev)
		before = kunit_dma_usage(ctx->dev);

	odp = odp_get(ctx, kind);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(odp), expected);
	if (!IS_ERR(odp)) {
		KUNIT_EXPECT_GT(test, references_to_process(), references);
		ib_umem_odp_release(odp);
	}

	KUNIT_EXPECT_EQ(test, references_to_process(), references);
	expect_pinned(test, pinned);
	if (ctx->dev)
		kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void refuses_odp_for_device_that_cannot_share_all_memory(struct kunit *test)
{
	prepare_obstacle(test);

	expect_odp(test, EXPLICIT, -EOPNOTSUPP);
	remove_obstacle(test);
	expect_odp(test, EXPLICIT, 0);
}

static void refuses_implicit_odp_for_device_that_cannot_share_all_memory(struct kunit *test)
{
	prepare_obstacle(test);

	expect_odp(test, IMPLICIT, -EOPNOTSUPP);
	remove_obstacle(test);
	expect_odp(test, IMPLICIT, 0);
}

static void refuses_odp_when_bounce_is_forced_for_all(struct kunit *test)
{
	use_device(test, DIRECT);
	skip_unless_bounce_is_forced(test);
	use_memory(test);

	expect_odp(test, EXPLICIT, -EOPNOTSUPP);
	expect_odp(test, IMPLICIT, -EOPNOTSUPP);
	stop_forcing_bounce(test);
	expect_odp(test, EXPLICIT, 0);
	expect_odp(test, IMPLICIT, 0);
}

static void virtual_addresses_need_no_coherent_device(struct kunit *test)
{
	use_device(test, VIRTUAL);
	use_memory(test);

	expect_odp(test, EXPLICIT, 0);
	expect_odp(test, IMPLICIT, 0);
}

static const struct fault_param {
	const char *desc;
	enum odp_kind kind;
	enum dma_device device;
} fault_params[] = {
	{ "explicit, device without IOMMU", EXPLICIT, DIRECT },
	{ "explicit, PCI device", EXPLICIT, PCI },
	{ "child of implicit, device without IOMMU", CHILD, DIRECT },
	{ "child of implicit, PCI device", CHILD, PCI },
};

KUNIT_ARRAY_PARAM_DESC(fault, fault_params, desc);

/* As a driver does it on a page fault of the device. */
static void odp_maps_very_page_that_device_faults_on(struct kunit *test)
{
	const struct fault_param *param = test->param_value;
	struct pci_p2pdma_map_state p2p = {};
	struct umem_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	struct ib_umem_odp *odp;
	dma_addr_t addr;
	int ret;

	use_device(test, param->device);
	skip_if_bounce_is_forced(test);
	skip_if_mapped_by_ops(test);
	use_memory(test);
	odp = get_odp(test, param->kind);
	before = kunit_dma_usage(ctx->dev);

	ret = ib_umem_odp_map_dma_and_lock(odp, ctx->addr + PAGE * PAGE_SIZE,
					   PAGE_SIZE, HMM_PFN_WRITE, true);
	KUNIT_ASSERT_EQ(test, ret, 1);
	addr = hmm_dma_map_pfn(ctx->dev, &odp->map, PAGE, &p2p);
	if (addr != DMA_MAPPING_ERROR)
		odp->npages++;
	mutex_unlock(&odp->umem_mutex);

	KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);
	KUNIT_EXPECT_EQ(test, phys_behind(ctx, addr),
			page_to_phys(ctx->pages[PAGE]));

	mutex_lock(&odp->umem_mutex);
	ib_umem_odp_unmap_dma_pages(odp, ib_umem_start(odp), ib_umem_end(odp));
	mutex_unlock(&odp->umem_mutex);
	KUNIT_EXPECT_EQ(test, odp->npages, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static int umem_init(struct kunit *test)
{
	struct umem_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	/* Xen has to be told of a page table before a CPU uses it. */
	if (xen_pv_domain())
		kunit_skip(test, "KUnit makes no address spaces for a PV domain");

	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);

	return 0;
}

static int umem_suite_init(struct kunit_suite *suite)
{
	return pci_register_driver(&umem_driver);
}

static void umem_suite_exit(struct kunit_suite *suite)
{
	pci_unregister_driver(&umem_driver);
}

static struct kunit_case umem_cases[] = {
	KUNIT_CASE_PARAM(maps_very_pages_of_process, device_gen_params),
	KUNIT_CASE_PARAM(process_and_device_see_each_others_writes, device_gen_params),
	KUNIT_CASE_PARAM(unmaps_with_attributes_of_mapping, access_gen_params),
	KUNIT_CASE_PARAM(maps_same_memory_many_times, times_gen_params),
	KUNIT_CASE_PARAM(refuses_memory_that_device_cannot_share, obstacle_gen_params),
	KUNIT_CASE(refuses_memory_when_bounce_is_forced_for_all),
	KUNIT_CASE_PARAM(refuses_odp_for_device_that_cannot_share_all_memory,
			 obstacle_gen_params),
	KUNIT_CASE_PARAM(refuses_implicit_odp_for_device_that_cannot_share_all_memory,
			 obstacle_gen_params),
	KUNIT_CASE(refuses_odp_when_bounce_is_forced_for_all),
	KUNIT_CASE(virtual_addresses_need_no_coherent_device),
	KUNIT_CASE_PARAM(odp_maps_very_page_that_device_faults_on, fault_gen_params),
	{}
};

static struct kunit_suite umem_suite = {
	.name = "umem",
	.suite_init = umem_suite_init,
	.suite_exit = umem_suite_exit,
	.init = umem_init,
	.test_cases = umem_cases,
};

kunit_test_suite(umem_suite);

MODULE_DESCRIPTION("KUnit tests for the DMA mappings of user memory");
MODULE_LICENSE("GPL");

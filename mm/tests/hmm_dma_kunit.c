// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the DMA mappings of HMM.
 *
 * A device that mirrors an address space works on the pages of a process while
 * the process does. So what hmm_dma_map_pfn() returns has to lead to the very
 * page, and nothing must lie in between: no bounce buffer, and no cache that
 * somebody would have to maintain. The pages here are those of a real address
 * space, found by hmm_range_fault(), and the memory behind a DMA address is
 * looked at the way the device does: through the page table of the IOMMU if
 * there is one.
 *
 * There are three ways to a DMA address, and most cases try all of them:
 *
 * - the direct mapping, with a device of KUnit, which is never behind an IOMMU;
 * - an IOVA state, which a PCI device behind an IOMMU gets for all of the map;
 * - a mapping for each page, which it gets if there is no such IOVA range left.
 *
 * The PCI device is QEMU's edu. Memory of a peer is that of QEMU's ivshmem,
 * and gets into the address space by mmap() of its file in sysfs, as it does
 * in real life. All that matters about the two is that they are PCI devices:
 * nothing here makes them do DMA. They are bound to a driver for as long as
 * the suite runs, so that the kernel sets up their DMA and their memory.
 *
 * What is in the way of a mapping is brought about by what a platform or a
 * driver can really set. Each refusal is followed by its mirror: with the
 * obstacle out of the way, the same device maps the same page. A machine cannot
 * have every obstacle at once, so a case that needs another machine is skipped
 * and says which. Bouncing without DMA_ATTR_REQUIRE_COHERENT is the subject of
 * other suites.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/override.h>
#include <kunit/test.h>
#include <kunit/tracepoint.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/iommu.h>
#include <linux/iommu-dma.h>
#include <linux/kobject.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>
#include <xen/xen.h>

/*
 * More than the IOVA allocator keeps in its per-CPU caches: what is freed is
 * free for everybody, and kunit_dma_usage() shows it.
 */
#define NR_PAGES	64
#define MAP_SIZE	(NR_PAGES * PAGE_SIZE)
#define HEALING_SIZE	(48 * PAGE_SIZE)	/* less, and not cached either */
#define SMALL_SIZE	512			/* less than any IOMMU's page */

#define PAGE		3	/* index of the page for which one will do */
#define NO_PAGE		(PAGE + 2)		/* is never mapped */

#define PROVIDER_BAR	2

/* The order in which a device might touch them. */
static const size_t mixed_order[] = { 17, PAGE, NR_PAGES - 1, 0, PAGE + 1, PAGE - 1 };

enum dma_device {
	DIRECT,			/* never behind an IOMMU */
	PCI,			/* behind the IOMMU, if there is one */
	PCI_WITHOUT_IOVA_STATE,	/* behind the IOMMU, page by page */
	PROVIDER,		/* PCI with peer-to-peer memory */
};

static const struct device_param {
	const char *desc;
	enum dma_device device;
} device_params[] = {
	{ "device without IOMMU", DIRECT },
	{ "PCI device", PCI },
	{ "PCI device, each page on its own behind the IOMMU", PCI_WITHOUT_IOVA_STATE },
};

KUNIT_ARRAY_PARAM_DESC(device, device_params, desc);

/* What the tracepoints showed. Of an IOVA state they only show what is refused. */
struct observed {
	unsigned int maps;
	unsigned int unmaps;
	unsigned long map_attrs;
	unsigned long unmap_attrs;
};

struct hmm_dma_ctx {
	struct device *dev;
	struct kunit_dma_settings settings;	/* to go back to */
	unsigned long addr;		/* of the pages, in the process */
	bool peer;			/* the pages are memory of the provider */
	struct mmu_interval_notifier notifier;
	struct hmm_dma_map map;
	struct pci_p2pdma_map_state p2p;
	struct observed seen;
	struct kunit_calls calls;	/* of dma_need_unmap() */
};

/* The PCI devices */

static struct pci_dev *client, *provider;

static const struct pci_device_id hmm_dma_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8), .driver_data = PCI },
	{ PCI_DEVICE(0x1af4, 0x1110), .driver_data = PROVIDER },
	{}
};

static int hmm_dma_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;

	if (id->driver_data == PROVIDER) {
		ret = pci_p2pdma_add_resource(pdev, PROVIDER_BAR, 0, 0);
		if (ret)
			return ret;
		if (!provider)
			provider = pdev;
	} else if (!client && pci_is_root_bus(pdev->bus)) {
		client = pdev;
	}

	return 0;
}

static void hmm_dma_remove(struct pci_dev *pdev)
{
	if (pdev == client)
		client = NULL;
	if (pdev == provider)
		provider = NULL;
}

static struct pci_driver hmm_dma_driver = {
	.name = "hmm-dma-kunit",
	.id_table = hmm_dma_ids,
	.probe = hmm_dma_probe,
	.remove = hmm_dma_remove,
};

/* Tracepoints */

static void saw_map_phys(void *data, struct device *dev, phys_addr_t phys,
			 dma_addr_t addr, size_t size,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct hmm_dma_ctx *ctx = data;

	if (dev != ctx->dev)
		return;

	ctx->seen.maps++;
	ctx->seen.map_attrs = attrs;
}

static void saw_unmap_phys(void *data, struct device *dev, dma_addr_t addr,
			   size_t size, enum dma_data_direction dir,
			   unsigned long attrs)
{
	struct hmm_dma_ctx *ctx = data;

	if (dev != ctx->dev)
		return;

	ctx->seen.unmaps++;
	ctx->seen.unmap_attrs = attrs;
}

static const struct kunit_probe probes[] = {
	{ "dma_map_phys", saw_map_phys },
	{ "dma_unmap_phys", saw_unmap_phys },
};

/* The device */

static void apply_settings(struct device *dev,
			   const struct kunit_dma_settings *settings)
{
	struct dma_iova_state state;

	kunit_dma_apply(dev, settings);

	/*
	 * An IOVA allocator that had no range below some limit tries no other
	 * of that size below 4 GiB until one is freed there.
	 */
	if (dma_iova_try_alloc(dev, &state, 0, HEALING_SIZE))
		dma_iova_free(dev, &state);
}

static void restore_device(void *data)
{
	struct hmm_dma_ctx *ctx = data;

	apply_settings(ctx->dev, &ctx->settings);
}

/* Get a coherent device with a full DMA mask and nothing in the way. */
static struct device *use_device(struct kunit *test, enum dma_device device)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct pci_dev *pdev = device == PROVIDER ? provider : client;
	struct kunit_dma_settings settings = {};
	struct device *dev;
	int ret;

	if (device == DIRECT) {
		dev = kunit_device_register(test, "hmm-dma-kunit");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
		ret = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
		KUNIT_ASSERT_EQ(test, ret, 0);
	} else if (pdev) {
		dev = &pdev->dev;
	} else {
		kunit_skip(test, device == PROVIDER ?
			   "needs QEMU's ivshmem-plain, and P2PDMA" :
			   "needs QEMU's edu on the root bus");
	}

	if (device == PCI_WITHOUT_IOVA_STATE && !use_dma_iommu(dev))
		kunit_skip(test, "needs an IOMMU");
	/*
	 * Afterwards the allocator of I/O virtual addresses goes above 4 GiB. In
	 * a 32-bit kernel the IOMMU API has no room for these.
	 */
	if (device == PCI_WITHOUT_IOVA_STATE && !IS_ENABLED(CONFIG_64BIT))
		kunit_skip(test, "needs addresses above 4 GiB for later mappings");

	ctx->dev = dev;
	ctx->settings = kunit_dma_settings(dev);
	ret = kunit_add_action_or_reset(test, restore_device, ctx);
	KUNIT_ASSERT_EQ(test, ret, 0);

	settings = ctx->settings;
	settings.coherent = true;
	/* There is room for the pages, but not for all of them in one range. */
	if (device == PCI_WITHOUT_IOVA_STATE)
		settings.bus_dma_limit = MAP_SIZE - 1;
	apply_settings(dev, &settings);
	kunit_dma_skip_unless_coherent(test, dev, true);

	return dev;
}

static void skip_if_bounce_is_forced(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;

	if (!use_dma_iommu(ctx->dev) && is_swiotlb_force_bounce(ctx->dev))
		kunit_skip(test, "swiotlb=force hides every other obstacle");
}

/* Return the memory that the device reaches under a DMA address, or 0. */
static phys_addr_t phys_behind(struct device *dev, dma_addr_t addr)
{
	if (use_dma_iommu(dev))
		return iommu_iova_to_phys(iommu_get_domain_for_dev(dev), addr);

	return dma_to_phys(dev, addr);
}

/* The process */

static bool invalidate(struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

static void stop_watching(void *data)
{
	struct hmm_dma_ctx *ctx = data;

	mmu_interval_notifier_remove(&ctx->notifier);
}

static void watch_process(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	int ret;

	KUNIT_ASSERT_NE(test, ctx->addr, 0);
	KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED(ctx->addr));
	ret = mmu_interval_notifier_insert(&ctx->notifier, current->mm,
					   ctx->addr, MAP_SIZE, &notifier_ops);
	KUNIT_ASSERT_EQ(test, ret, 0);
	ret = kunit_add_action_or_reset(test, stop_watching, ctx);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

/* Return where the process has the word by which a page is recognised. */
static u32 __user *user_word(struct hmm_dma_ctx *ctx, size_t idx)
{
	return (u32 __user *)(ctx->addr + idx * PAGE_SIZE);
}

static u32 word_of(size_t idx)
{
	return 0xc0de0000 + idx;
}

/* Give the process pages of its own, each of which can be told from the others. */
static void use_memory(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	size_t idx;

	ctx->addr = kunit_vm_mmap(test, NULL, 0, MAP_SIZE,
				  PROT_READ | PROT_WRITE,
				  MAP_ANONYMOUS | MAP_PRIVATE, 0);
	watch_process(test);
	for (idx = 0; idx < NR_PAGES; idx++)
		KUNIT_ASSERT_EQ(test, 0, put_user(word_of(idx),
						  user_word(ctx, idx)));
}

KUNIT_DEFINE_ACTION_WRAPPER(kern_unmount_action, kern_unmount, struct vfsmount *);

/* Open what user space sees as /sys/bus/pci/devices/.../p2pmem/allocate. */
static struct file *open_peer_memory(struct kunit *test)
{
	struct file_system_type *sysfs = get_fs_type("sysfs");
	struct vfsmount *mnt;
	struct file *file;
	char *dir, *path;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, sysfs);
	mnt = kern_mount(sysfs);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mnt));
	ret = kunit_add_action_or_reset(test, kern_unmount_action, mnt);
	KUNIT_ASSERT_EQ(test, ret, 0);

	dir = kobject_get_path(&provider->dev.kobj, GFP_KERNEL);
	path = kasprintf(GFP_KERNEL, "%s/p2pmem/allocate", dir ?: "");
	kfree(dir);
	KUNIT_ASSERT_NOT_NULL(test, path);
	file = file_open_root_mnt(mnt, path, O_RDWR, 0);
	kfree(path);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));

	return file;
}

/* Give the process memory of the provider instead. */
static void use_peer_memory(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct file *file;

	if (!provider)
		kunit_skip(test, "needs QEMU's ivshmem-plain, and P2PDMA");

	file = open_peer_memory(test);
	ctx->peer = true;
	ctx->addr = kunit_vm_mmap(test, file, 0, MAP_SIZE,
				  PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	fput(file);
	watch_process(test);
}

/* The map */

static void free_map(void *data)
{
	struct hmm_dma_ctx *ctx = data;
	size_t idx;

	for (idx = 0; idx < NR_PAGES; idx++)
		hmm_dma_unmap_pfn(ctx->dev, &ctx->map, idx);
	hmm_dma_map_free(ctx->dev, &ctx->map);
}

/* Allocate the map, and fill it with the pages that the process has. */
static void alloc_map(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct hmm_range range = {
		.notifier = &ctx->notifier,
		.start = ctx->addr,
		.end = ctx->addr + MAP_SIZE,
		.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
	};
	int ret;

	if (!use_dma_iommu(ctx->dev) && get_dma_ops(ctx->dev))
		kunit_skip(test, "cannot tell what is behind a DMA address here");
	skip_if_bounce_is_forced(test);

	ret = hmm_dma_map_alloc(ctx->dev, &ctx->map, NR_PAGES, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, ret, 0);
	ret = kunit_add_action_or_reset(test, free_map, ctx);
	KUNIT_ASSERT_EQ(test, ret, 0);

	/* Nothing invalidates the range before the process ends. */
	range.hmm_pfns = ctx->map.pfn_list;
	do {
		range.notifier_seq = mmu_interval_read_begin(&ctx->notifier);
		mmap_read_lock(current->mm);
		ret = hmm_range_fault(&range);
		mmap_read_unlock(current->mm);
	} while (ret == -EBUSY);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

static phys_addr_t phys_of(struct hmm_dma_ctx *ctx, size_t idx)
{
	return hmm_pfn_to_phys(ctx->map.pfn_list[idx]);
}

static dma_addr_t map_page(struct hmm_dma_ctx *ctx, size_t idx)
{
	memset(&ctx->seen, 0, sizeof(ctx->seen));

	return hmm_dma_map_pfn(ctx->dev, &ctx->map, idx, &ctx->p2p);
}

static bool unmap_page(struct hmm_dma_ctx *ctx, size_t idx)
{
	memset(&ctx->seen, 0, sizeof(ctx->seen));

	return hmm_dma_unmap_pfn(ctx->dev, &ctx->map, idx);
}

/* Return the word that the device finds under a DMA address. */
static u32 *device_word(struct device *dev, dma_addr_t addr)
{
	return kmap_local_page(pfn_to_page(PHYS_PFN(phys_behind(dev, addr))));
}

/* Expect that the page can be reached through the range of the map, or not. */
static void expect_linked(struct kunit *test, size_t idx, bool linked)
{
	struct hmm_dma_ctx *ctx = test->priv;
	dma_addr_t addr = ctx->map.state.addr + idx * PAGE_SIZE;

	if (dma_use_iova(&ctx->map.state))
		KUNIT_EXPECT_EQ_MSG(test, phys_behind(ctx->dev, addr),
				    linked ? phys_of(ctx, idx) : 0,
				    "page %zu", idx);
}

/* The attributes with which a page has to be mapped, and unmapped again. */
static unsigned long attrs_of_page(const struct hmm_dma_ctx *ctx)
{
	return DMA_ATTR_REQUIRE_COHERENT | (ctx->peer ? DMA_ATTR_MMIO : 0);
}

static void expect_traced_map(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;

	if (dma_use_iova(&ctx->map.state)) {
		KUNIT_EXPECT_EQ(test, ctx->seen.maps, 0);
		return;
	}

	KUNIT_EXPECT_EQ(test, ctx->seen.maps, 1);
	KUNIT_EXPECT_EQ(test, ctx->seen.map_attrs, attrs_of_page(ctx));
}

static void expect_traced_unmap(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;

	/* A direct mapping need not be undone, unless there is dma-debug. */
	if (dma_use_iova(&ctx->map.state) || !dma_need_unmap(ctx->dev)) {
		KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 0);
		return;
	}

	KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 1);
	KUNIT_EXPECT_EQ(test, ctx->seen.unmap_attrs, attrs_of_page(ctx));
}

/* Map a page, expect that the device reaches it and nothing else. */
static dma_addr_t expect_in_place(struct kunit *test, size_t idx)
{
	struct hmm_dma_ctx *ctx = test->priv;
	unsigned long flags = HMM_PFN_VALID | HMM_PFN_WRITE | HMM_PFN_DMA_MAPPED;
	dma_addr_t addr;
	u32 *word;

	if (ctx->peer)
		flags |= HMM_PFN_P2PDMA;

	addr = map_page(ctx, idx);
	KUNIT_EXPECT_NE_MSG(test, addr, DMA_MAPPING_ERROR, "page %zu", idx);
	if (addr == DMA_MAPPING_ERROR)
		return addr;

	KUNIT_EXPECT_EQ_MSG(test, phys_behind(ctx->dev, addr), phys_of(ctx, idx),
			    "page %zu", idx);
	KUNIT_EXPECT_EQ(test, ctx->map.pfn_list[idx] & HMM_PFN_FLAGS, flags);
	expect_traced_map(test);
	expect_linked(test, idx, true);
	if (!ctx->peer) {
		word = device_word(ctx->dev, addr);
		KUNIT_EXPECT_EQ(test, READ_ONCE(*word), word_of(idx));
		kunmap_local(word);
	}

	return addr;
}

static void expect_unmapped(struct kunit *test, size_t idx)
{
	struct hmm_dma_ctx *ctx = test->priv;

	KUNIT_EXPECT_TRUE(test, unmap_page(ctx, idx));
	KUNIT_EXPECT_EQ(test, ctx->map.pfn_list[idx] & HMM_PFN_FLAGS,
			HMM_PFN_VALID | HMM_PFN_WRITE);
	expect_traced_unmap(test);
	expect_linked(test, idx, false);

	/* There is nothing left to unmap. */
	KUNIT_EXPECT_FALSE(test, unmap_page(ctx, idx));
	KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 0);
}

/* Expect that the page is not mapped, and that nothing is left of the attempt. */
static void expect_not_mapped(struct kunit *test, size_t idx)
{
	struct hmm_dma_ctx *ctx = test->priv;
	unsigned long pfn = ctx->map.pfn_list[idx];
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	struct observed seen;

	KUNIT_EXPECT_EQ(test, map_page(ctx, idx), DMA_MAPPING_ERROR);
	KUNIT_EXPECT_EQ(test, ctx->map.pfn_list[idx], pfn);
	kunit_expect_dma_usage(test, ctx->dev, &before);
	expect_linked(test, idx, false);
	seen = ctx->seen;

	KUNIT_EXPECT_FALSE(test, unmap_page(ctx, idx));
	KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 0);
	kunit_expect_dma_usage(test, ctx->dev, &before);
	ctx->seen = seen;
}

/* Expect that it is the DMA API that refuses it. */
static void expect_refused(struct kunit *test, size_t idx)
{
	struct hmm_dma_ctx *ctx = test->priv;

	expect_not_mapped(test, idx);
	KUNIT_EXPECT_EQ(test, ctx->seen.maps, 1);
	KUNIT_EXPECT_EQ(test, ctx->seen.map_attrs, attrs_of_page(ctx));
}

/* Try to allocate a map, and expect that nothing is left of it. */
static void expect_alloc(struct kunit *test, int expected)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct kunit_dma_usage before = kunit_dma_usage(ctx->dev);
	struct hmm_dma_map map = {};
	int ret;

	ret = hmm_dma_map_alloc(ctx->dev, &map, NR_PAGES, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ret, expected);
	if (ret) {
		KUNIT_EXPECT_NULL(test, map.pfn_list);
		KUNIT_EXPECT_NULL(test, map.dma_list);
		KUNIT_EXPECT_FALSE(test, dma_use_iova(&map.state));
	} else {
		hmm_dma_map_free(ctx->dev, &map);
	}
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Nothing in the way */

static void prepare_map(struct kunit *test)
{
	const struct device_param *param = test->param_value;
	struct hmm_dma_ctx *ctx = test->priv;

	use_device(test, param->device);
	use_memory(test);
	alloc_map(test);

	/* The whole range at once behind an IOMMU, if it is to be had. */
	KUNIT_ASSERT_EQ(test, dma_use_iova(&ctx->map.state),
			use_dma_iommu(ctx->dev) &&
			param->device != PCI_WITHOUT_IOVA_STATE);
}

static void maps_very_pages_of_process_in_any_order(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	dma_addr_t addr[ARRAY_SIZE(mixed_order)];
	unsigned int i;

	prepare_map(test);

	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		addr[i] = expect_in_place(test, mixed_order[i]);

	/* None of them has displaced another, or brought along its neighbour. */
	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		KUNIT_EXPECT_EQ(test, phys_behind(ctx->dev, addr[i]),
				phys_of(ctx, mixed_order[i]));
	expect_linked(test, NO_PAGE, false);

	/* The process must not end with pages that the device still reaches. */
	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		expect_unmapped(test, mixed_order[i]);
}

static void process_and_device_see_each_others_writes(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	u32 *word, value = 0;
	dma_addr_t addr;

	prepare_map(test);
	addr = map_page(ctx, PAGE);
	KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);

	word = device_word(ctx->dev, addr);
	KUNIT_EXPECT_EQ(test, put_user(0x5a5a5a5a, user_word(ctx, PAGE)), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(*word), 0x5a5a5a5a);
	WRITE_ONCE(*word, 0xa5a5a5a5);
	KUNIT_EXPECT_EQ(test, get_user(value, user_word(ctx, PAGE)), 0);
	KUNIT_EXPECT_EQ(test, value, 0xa5a5a5a5);
	kunmap_local(word);

	/* Nor does unmapping bring back what was there when it was mapped. */
	KUNIT_EXPECT_TRUE(test, unmap_page(ctx, PAGE));
	KUNIT_EXPECT_EQ(test, get_user(value, user_word(ctx, PAGE)), 0);
	KUNIT_EXPECT_EQ(test, value, 0xa5a5a5a5);
}

static void unmaps_each_page_as_it_was_mapped(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned int i;

	prepare_map(test);
	before = kunit_dma_usage(ctx->dev);

	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		expect_in_place(test, mixed_order[i]);
	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		expect_unmapped(test, mixed_order[i]);
	kunit_expect_dma_usage(test, ctx->dev, &before);

	/* It can be had again. */
	expect_in_place(test, PAGE);
	expect_unmapped(test, PAGE);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

/* Drivers map a page again to add a flag, while the device keeps using it. */
static void maps_mapped_page_to_same_address(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned long pfn;
	dma_addr_t addr;

	prepare_map(test);
	if (!dma_need_unmap(ctx->dev))
		kunit_skip(test, "maps a second time without dma-debug");

	addr = expect_in_place(test, PAGE);
	pfn = ctx->map.pfn_list[PAGE];
	before = kunit_dma_usage(ctx->dev);

	KUNIT_EXPECT_EQ(test, map_page(ctx, PAGE), addr);
	KUNIT_EXPECT_EQ(test, ctx->seen.maps, 0);
	KUNIT_EXPECT_EQ(test, ctx->map.pfn_list[PAGE], pfn);
	kunit_expect_dma_usage(test, ctx->dev, &before);

	expect_unmapped(test, PAGE);
}

static void freeing_map_gives_back_all_of_it(struct kunit *test)
{
	const struct device_param *param = test->param_value;

	use_device(test, param->device);
	skip_if_bounce_is_forced(test);

	expect_alloc(test, 0);
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
	{ "PCI device is not coherent, each page on its own",
	  NOT_COHERENT, PCI_WITHOUT_IOVA_STATE },
	{ "bounce is forced for device", BOUNCE_FORCED, DIRECT },
	{ "page is above DMA mask", DMA_MASK, DIRECT },
	{ "last byte of page is above bus limit", BUS_LIMIT, DIRECT },
};

KUNIT_ARRAY_PARAM_DESC(obstacle, obstacle_params, desc);

/* Put something between the device and a page. */
static void put_obstacle(struct kunit *test, enum obstacle obstacle,
			 phys_addr_t phys)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct kunit_dma_settings settings = kunit_dma_settings(ctx->dev);
	u64 mask = DMA_BIT_MASK(32);

	switch (obstacle) {
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
		if (phys <= mask)
			kunit_skip(test, "no memory above DMA mask %#llx", mask);
		KUNIT_ASSERT_EQ(test, 0, dma_set_mask(ctx->dev, mask));
		break;
	case BUS_LIMIT:
		ctx->dev->bus_dma_limit = phys_to_dma(ctx->dev, phys) +
					  PAGE_SIZE - 2;
		break;
	}
}

static void remove_obstacle(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	const struct obstacle_param *param = test->param_value;
	struct kunit_dma_settings settings = ctx->settings;

	settings.coherent = true;
	if (param && param->device == PCI_WITHOUT_IOVA_STATE)
		settings.bus_dma_limit = MAP_SIZE - 1;
	apply_settings(ctx->dev, &settings);
}

KUNIT_DEFINE_ACTION_WRAPPER(free_page_action, __free_page, struct page *);

/* Return a page of RAM, from as high up as it comes. */
static phys_addr_t any_page(struct kunit *test)
{
	struct page *page = alloc_page(GFP_HIGHUSER | __GFP_ZERO);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, page);
	ret = kunit_add_action_or_reset(test, free_page_action, page);
	KUNIT_ASSERT_EQ(test, ret, 0);

	return page_to_phys(page);
}

static void refuses_map_for_device_that_cannot_share_all_memory(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;

	use_device(test, param->device);
	skip_if_bounce_is_forced(test);
	put_obstacle(test, param->obstacle, any_page(test));

	expect_alloc(test, -EOPNOTSUPP);
	remove_obstacle(test);
	expect_alloc(test, 0);
}

/* A device can lose what it had when the map was allocated. */
static void refuses_page_that_device_cannot_share(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct hmm_dma_ctx *ctx = test->priv;

	use_device(test, param->device);
	use_memory(test);
	alloc_map(test);
	put_obstacle(test, param->obstacle, phys_of(ctx, PAGE));

	expect_refused(test, PAGE);
	remove_obstacle(test);
	expect_in_place(test, PAGE);
	expect_unmapped(test, PAGE);
}

static void refuses_map_when_bounce_is_forced_for_all(struct kunit *test)
{
	struct device *dev;

	dev = use_device(test, DIRECT);
	if (!is_swiotlb_force_bounce(dev))
		kunit_skip(test, "needs swiotlb=force");

	expect_alloc(test, -EOPNOTSUPP);
	dev->dma_io_tlb_mem = kunit_dma_empty_pool(test, false);
	expect_alloc(test, 0);
}

/* What has to be bounced without an IOMMU is no obstacle behind one. */

static const struct obstacle_param overcome_params[] = {
	{ "bounce is forced for device", BOUNCE_FORCED, PCI },
	{ "bounce is forced for device, each page on its own", BOUNCE_FORCED,
	  PCI_WITHOUT_IOVA_STATE },
	{ "page is above DMA mask", DMA_MASK, PCI },
	{ "page is above DMA mask, each page on its own", DMA_MASK,
	  PCI_WITHOUT_IOVA_STATE },
};

KUNIT_ARRAY_PARAM_DESC(overcome, overcome_params, desc);

static void maps_behind_iommu_what_bounces_without(struct kunit *test)
{
	const struct obstacle_param *param = test->param_value;
	struct hmm_dma_ctx *ctx = test->priv;

	use_device(test, param->device);
	if (!use_dma_iommu(ctx->dev))
		kunit_skip(test, "needs an IOMMU");
	use_memory(test);
	put_obstacle(test, param->obstacle, any_page(test));
	alloc_map(test);

	expect_in_place(test, PAGE);
	expect_unmapped(test, PAGE);
}

/*
 * Whether some other buffer of the device was bounced says nothing about the
 * pages. The kernel remembers it, though: from then on the device syncs.
 */

static const struct device_param bounced_params[] = {
	{ "device without IOMMU, above an old bus limit", DIRECT },
	{ "untrusted PCI device behind an IOMMU, unaligned", PCI },
};

KUNIT_ARRAY_PARAM_DESC(bounced, bounced_params, desc);

static void skip_unless_pool_is_in_reach(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct io_tlb_mem *mem = ctx->dev->dma_io_tlb_mem;
	u64 limit = ctx->dev->bus_dma_limit;

	if (!mem || !mem->nslabs ||
	    (limit && phys_to_dma(ctx->dev, mem->defpool.end - 1) > limit))
		kunit_skip(test, "no SWIOTLB pool in reach");
}

static void bounce_another_buffer(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct device *dev = ctx->dev;
	phys_addr_t phys = any_page(test);
	size_t size = PAGE_SIZE;
	dma_addr_t addr;

	if (use_dma_iommu(dev)) {
		to_pci_dev(dev)->untrusted = true;
		size = SMALL_SIZE;
	} else {
		put_obstacle(test, BUS_LIMIT, phys);
	}
	skip_unless_pool_is_in_reach(test);

	addr = dma_map_phys(dev, phys, size, DMA_BIDIRECTIONAL, 0);
	KUNIT_ASSERT_FALSE(test, dma_mapping_error(dev, addr));
	KUNIT_ASSERT_NE(test, phys_behind(dev, addr), phys);
	dma_unmap_phys(dev, addr, size, DMA_BIDIRECTIONAL, 0);

	dev->bus_dma_limit = ctx->settings.bus_dma_limit;
}

static void earlier_bounce_is_no_obstacle(struct kunit *test)
{
	const struct device_param *param = test->param_value;
	struct hmm_dma_ctx *ctx = test->priv;

	use_device(test, param->device);
	if (param->device == PCI && !use_dma_iommu(ctx->dev))
		kunit_skip(test, "needs an IOMMU");
	skip_if_bounce_is_forced(test);
	use_memory(test);
	bounce_another_buffer(test);
	alloc_map(test);

	expect_in_place(test, PAGE);
	expect_unmapped(test, PAGE);
}

/*
 * A map has no DMA addresses if the device has nothing to unmap. A bounce ends
 * that, as dma-debug does for all devices.
 */
static void map_without_addresses_outlives_the_first_bounce(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	struct kunit_override *override;
	dma_addr_t addr;
	int i;

	use_device(test, DIRECT);
	use_memory(test);
	override = kunit_override_every(test, &ctx->calls, "dma_need_unmap", false);
	kunit_begin_calls(&ctx->calls, 0);
	alloc_map(test);
	kunit_end_calls(&ctx->calls);
	kunit_end_override(test, override);
	KUNIT_ASSERT_NULL(test, ctx->map.dma_list);
	if (!dma_need_unmap(ctx->dev))
		bounce_another_buffer(test);

	/* The second time is for a device that wants to write, too. */
	addr = expect_in_place(test, PAGE);
	KUNIT_EXPECT_EQ(test, addr, map_page(ctx, PAGE));
	if (addr == DMA_MAPPING_ERROR)
		return;

	KUNIT_EXPECT_TRUE(test, unmap_page(ctx, PAGE));
	KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 0);

	/* With dma-debug there would have been a list, so it wants these back. */
	for (i = 0; i < 2; i++)
		dma_unmap_phys(ctx->dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL,
			       DMA_ATTR_REQUIRE_COHERENT);
}

/* Memory of a peer */

static void prepare_peer_map(struct kunit *test, enum dma_device device)
{
	use_device(test, device);
	use_peer_memory(test);
	alloc_map(test);
}

static void maps_own_memory_of_device_by_bus_address(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;
	const unsigned long flags = HMM_PFN_VALID | HMM_PFN_WRITE;
	struct kunit_dma_usage before;
	unsigned int i;
	dma_addr_t addr;
	size_t idx;

	prepare_peer_map(test, PROVIDER);
	before = kunit_dma_usage(ctx->dev);

	for (i = 0; i < ARRAY_SIZE(mixed_order); i++) {
		idx = mixed_order[i];
		addr = map_page(ctx, idx);
		KUNIT_EXPECT_EQ(test, addr,
				pci_bus_address(provider, PROVIDER_BAR) +
				phys_of(ctx, idx) -
				pci_resource_start(provider, PROVIDER_BAR));
		KUNIT_EXPECT_EQ(test, ctx->map.pfn_list[idx] & HMM_PFN_FLAGS,
				flags | HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA_BUS);

		/* There is no need to remember it. */
		KUNIT_EXPECT_EQ(test, map_page(ctx, idx), addr);

		/* The bus takes it there, not a mapping. */
		KUNIT_EXPECT_EQ(test, ctx->seen.maps, 0);
		expect_linked(test, idx, false);
	}
	kunit_expect_dma_usage(test, ctx->dev, &before);

	for (i = 0; i < ARRAY_SIZE(mixed_order); i++) {
		idx = mixed_order[i];
		KUNIT_EXPECT_TRUE(test, unmap_page(ctx, idx));
		KUNIT_EXPECT_EQ(test, ctx->seen.unmaps, 0);
		KUNIT_EXPECT_EQ(test, ctx->map.pfn_list[idx] & HMM_PFN_FLAGS,
				flags);
	}
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static const struct device_param peer_params[] = {
	{ "PCI device", PCI },
	{ "PCI device, each page on its own behind the IOMMU", PCI_WITHOUT_IOVA_STATE },
};

KUNIT_ARRAY_PARAM_DESC(peer, peer_params, desc);

static void skip_unless_host_bridge_forwards(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;

	if (pci_p2pdma_distance(provider, ctx->dev, false) < 0)
		kunit_skip(test, "needs a CPU whose host bridge forwards between peers");
}

static void maps_memory_of_peer_through_host_bridge(struct kunit *test)
{
	const struct device_param *param = test->param_value;
	struct hmm_dma_ctx *ctx = test->priv;
	struct kunit_dma_usage before;
	unsigned int i;

	prepare_peer_map(test, param->device);
	skip_unless_host_bridge_forwards(test);
	before = kunit_dma_usage(ctx->dev);

	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		expect_in_place(test, mixed_order[i]);
	expect_linked(test, NO_PAGE, false);
	for (i = 0; i < ARRAY_SIZE(mixed_order); i++)
		expect_unmapped(test, mixed_order[i]);
	kunit_expect_dma_usage(test, ctx->dev, &before);
}

static void refuses_memory_of_peer_above_bus_limit(struct kunit *test)
{
	struct hmm_dma_ctx *ctx = test->priv;

	prepare_peer_map(test, PCI);
	skip_unless_host_bridge_forwards(test);
	if (use_dma_iommu(ctx->dev))
		kunit_skip(test, "needs a machine without IOMMU");
	put_obstacle(test, BUS_LIMIT, phys_of(ctx, PAGE));

	expect_refused(test, PAGE);
	remove_obstacle(test);
	expect_in_place(test, PAGE);
	expect_unmapped(test, PAGE);
}

static const struct device_param no_route_params[] = {
	{ "device on no PCI bus", DIRECT },
	{ "PCI device that only the host bridge connects", PCI },
};

KUNIT_ARRAY_PARAM_DESC(no_route, no_route_params, desc);

static void refuses_memory_of_peer_without_route(struct kunit *test)
{
	const struct device_param *param = test->param_value;
	struct hmm_dma_ctx *ctx = test->priv;

	prepare_peer_map(test, param->device);
	if (pci_p2pdma_distance(provider, ctx->dev, false) >= 0)
		kunit_skip(test, "needs a CPU whose host bridge does not forward between peers");

	expect_not_mapped(test, PAGE);
	KUNIT_EXPECT_EQ(test, ctx->seen.maps, 0);

	/* The device that has the memory gets there. */
	ctx->p2p = (struct pci_p2pdma_map_state){};
	KUNIT_EXPECT_NE(test, DMA_MAPPING_ERROR,
			hmm_dma_map_pfn(&provider->dev, &ctx->map, PAGE,
					&ctx->p2p));
	KUNIT_EXPECT_TRUE(test, hmm_dma_unmap_pfn(&provider->dev, &ctx->map,
						  PAGE));
}

static int hmm_dma_init(struct kunit *test)
{
	struct hmm_dma_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	/* Xen has to be told of a page table before a CPU uses it. */
	if (xen_pv_domain())
		kunit_skip(test, "KUnit makes no address spaces for a PV domain");

	kunit_probe_events(test, probes, ARRAY_SIZE(probes), ctx);

	return 0;
}

static int hmm_dma_suite_init(struct kunit_suite *suite)
{
	return pci_register_driver(&hmm_dma_driver);
}

static void hmm_dma_suite_exit(struct kunit_suite *suite)
{
	pci_unregister_driver(&hmm_dma_driver);
}

static struct kunit_case hmm_dma_cases[] = {
	KUNIT_CASE_PARAM(maps_very_pages_of_process_in_any_order, device_gen_params),
	KUNIT_CASE_PARAM(process_and_device_see_each_others_writes, device_gen_params),
	KUNIT_CASE_PARAM(unmaps_each_page_as_it_was_mapped, device_gen_params),
	KUNIT_CASE_PARAM(maps_mapped_page_to_same_address, device_gen_params),
	KUNIT_CASE_PARAM(freeing_map_gives_back_all_of_it, device_gen_params),
	KUNIT_CASE_PARAM(refuses_map_for_device_that_cannot_share_all_memory,
			 obstacle_gen_params),
	KUNIT_CASE_PARAM(refuses_page_that_device_cannot_share, obstacle_gen_params),
	KUNIT_CASE(refuses_map_when_bounce_is_forced_for_all),
	KUNIT_CASE_PARAM(maps_behind_iommu_what_bounces_without, overcome_gen_params),
	KUNIT_CASE_PARAM(earlier_bounce_is_no_obstacle, bounced_gen_params),
	KUNIT_CASE(map_without_addresses_outlives_the_first_bounce),
	KUNIT_CASE(maps_own_memory_of_device_by_bus_address),
	KUNIT_CASE_PARAM(maps_memory_of_peer_through_host_bridge, peer_gen_params),
	KUNIT_CASE(refuses_memory_of_peer_above_bus_limit),
	KUNIT_CASE_PARAM(refuses_memory_of_peer_without_route, no_route_gen_params),
	{}
};

static struct kunit_suite hmm_dma_suite = {
	.name = "hmm_dma",
	.suite_init = hmm_dma_suite_init,
	.suite_exit = hmm_dma_suite_exit,
	.init = hmm_dma_init,
	.test_cases = hmm_dma_cases,
};

kunit_test_suite(hmm_dma_suite);

MODULE_DESCRIPTION("KUnit tests for the DMA mappings of HMM");
MODULE_LICENSE("GPL");

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What DMA mappings consume, for KUnit tests that have to show that a mapping
 * which fails consumes nothing, and that one which is undone leaks nothing.
 *
 * Most of it is counted for the whole system, so that a device in use by
 * somebody else makes a test fail; at boot, where KUnit runs, there is none.
 *
 * All of it is taken from where it is accounted anyway: SWIOTLB counts its
 * slots, dma-debug shows its entries and errors in debugfs, and the allocator
 * of I/O virtual addresses hands out the same range again if it got it back.
 */

#ifndef _KUNIT_DMA_H
#define _KUNIT_DMA_H

#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/dcache.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/swiotlb.h>

/**
 * kunit_dma_debug_value() - Find what dma-debug shows in debugfs
 * @name: the name of the file in the directory dma-api
 *
 * Return: where dma-debug keeps it, which is a bool for "disabled" and a u32 for
 * the other ones, or NULL without dma-debug.
 */
static inline void *kunit_dma_debug_value(const char *name)
{
	struct dentry *dir, *file = NULL;
	void *value = NULL;

	dir = debugfs_lookup("dma-api", NULL);
	if (!IS_ERR_OR_NULL(dir))
		file = debugfs_lookup(name, dir);
	if (!IS_ERR_OR_NULL(file)) {
		value = d_inode(file)->i_private;
		dput(file);
	}
	if (!IS_ERR_OR_NULL(dir))
		dput(dir);

	return value;
}

/**
 * kunit_dma_slots() - Count the bounce slots in use
 * @dev: the device whose SWIOTLB pool it is about
 *
 * Some kernels count only if they are booted with swiotlb=track_hiwater.
 *
 * Return: the slots that all devices of the pool use, or 0 if nobody counts.
 */
static inline unsigned long kunit_dma_slots(struct device *dev)
{
#if defined(CONFIG_SWIOTLB) && defined(CONFIG_DEBUG_FS)
	if (dev->dma_io_tlb_mem)
		return atomic_long_read(&dev->dma_io_tlb_mem->total_used);
#endif
	return 0;
}

#ifdef CONFIG_SWIOTLB
/**
 * kunit_dma_empty_pool() - Make a SWIOTLB pool in which there are no slots
 * @test: the test, at whose end it is freed
 * @force_bounce: whether a device that has this pool has to bounce everything
 *
 * Given to one device, as its dma_io_tlb_mem, it forces what a restricted DMA
 * pool or a hypervisor forces, or takes slots away. Nothing can be bounced, so a
 * mapping that needs it fails if it is not refused.
 *
 * Return: the pool.
 */
static inline struct io_tlb_mem *kunit_dma_empty_pool(struct kunit *test,
						      bool force_bounce)
{
	struct io_tlb_mem *mem = kunit_kzalloc(test, sizeof(*mem), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mem);
	mem->force_bounce = force_bounce;
#ifdef CONFIG_SWIOTLB_DYNAMIC
	INIT_LIST_HEAD(&mem->pools);
#endif

	return mem;
}
#endif

/**
 * kunit_dma_mmio_above() - Find an address that no memory has
 * @test: the test, which is skipped if there is none
 * @phys: the physical address of some memory
 *
 * Return: a physical address to map as MMIO, as long as nobody accesses it.
 */
static inline phys_addr_t kunit_dma_mmio_above(struct kunit *test,
					       phys_addr_t phys)
{
	phys_addr_t mmio = 1ULL << fls64(phys);

	while (mmio && pfn_valid(PHYS_PFN(mmio)))
		mmio <<= 1;
	if (!mmio)
		kunit_skip(test, "every physical address may be memory");

	return mmio;
}

/* As many ranges of I/O virtual addresses as a test may lose */
#define KUNIT_DMA_PROBES	32

/**
 * struct kunit_dma_usage - What all mappings of a device consume
 * @slots: bounce slots in use
 * @entries: mappings that dma-debug knows, of all devices
 * @errors: errors that dma-debug has counted
 * @iova: the sum of the next ranges of I/O virtual addresses, or 0
 */
struct kunit_dma_usage {
	unsigned long slots;
	u32 entries;
	u32 errors;
	dma_addr_t iova;
};

/**
 * kunit_dma_usage() - Take down what the mappings of a device consume
 * @dev: the device, with its DMA mask set
 *
 * What is not accounted on this system is 0. I/O virtual addresses are probed:
 * the allocator hands out the highest that are free, and will do so again unless
 * one of them has been taken. The ranges are larger than those which it keeps in
 * its per-CPU caches; a small range that is used for the first time stays there,
 * and may be missed accordingly. It gives caches that have grown large back in
 * the background, so that there may be more to find later on.
 *
 * Return: the numbers as of now.
 */
static inline struct kunit_dma_usage kunit_dma_usage(struct device *dev)
{
	u32 *total = kunit_dma_debug_value("nr_total_entries");
	u32 *unused = kunit_dma_debug_value("num_free_entries");
	u32 *errors = kunit_dma_debug_value("error_count");
	struct dma_iova_state states[KUNIT_DMA_PROBES];
	struct kunit_dma_usage usage = {};
	int i;

	usage.slots = kunit_dma_slots(dev);
	if (total && unused)
		usage.entries = *total - *unused;
	if (errors)
		usage.errors = *errors;
	for (i = 0; i < KUNIT_DMA_PROBES; i++) {
		if (!dma_iova_try_alloc(dev, &states[i], 0, 64 * PAGE_SIZE))
			break;
		usage.iova += states[i].addr;
	}
	while (i--)
		dma_iova_free(dev, &states[i]);

	return usage;
}

/**
 * kunit_expect_dma_usage() - Expect that nothing has been consumed since
 * @test: the test
 * @dev: the device
 * @before: what kunit_dma_usage() returned before
 */
static inline void kunit_expect_dma_usage(struct kunit *test, struct device *dev,
					  const struct kunit_dma_usage *before)
{
	struct kunit_dma_usage now = kunit_dma_usage(dev);

	KUNIT_EXPECT_EQ_MSG(test, now.slots, before->slots,
			    "bounce slots are in use");
	KUNIT_EXPECT_EQ_MSG(test, now.entries, before->entries,
			    "dma-debug knows of mappings");
	KUNIT_EXPECT_EQ_MSG(test, now.errors, before->errors,
			    "dma-debug has found errors");
	KUNIT_EXPECT_GE_MSG(test, now.iova, before->iova,
			    "I/O virtual addresses are in use");
}

/**
 * struct kunit_dma_settings - What a test may change about a device
 * @dma_mask: see dma_set_mask()
 * @coherent_dma_mask: see dma_set_coherent_mask()
 * @bus_dma_limit: the highest address that the bus passes on, or 0
 * @dma_parms: limits of its segments and alignment, with 0 for what is usual
 * @io_tlb_mem: where the bounce slots of the device are
 * @coherent: the device is cache-coherent
 * @untrusted: the device is a PCI device behind a port for anybody's devices
 */
struct kunit_dma_settings {
	u64 dma_mask;
	u64 coherent_dma_mask;
	u64 bus_dma_limit;
	struct device_dma_parameters dma_parms;
	struct io_tlb_mem *io_tlb_mem;
	bool coherent;
	bool untrusted;
};

/**
 * kunit_dma_settings() - Take down the settings of a device
 * @dev: the device
 *
 * Return: the settings, to go back to with kunit_dma_apply().
 */
static inline struct kunit_dma_settings kunit_dma_settings(struct device *dev)
{
	struct kunit_dma_settings settings = {
		.dma_mask = *dev->dma_mask,
		.coherent_dma_mask = dev->coherent_dma_mask,
		.bus_dma_limit = dev->bus_dma_limit,
#ifdef CONFIG_SWIOTLB
		.io_tlb_mem = dev->dma_io_tlb_mem,
#endif
		.coherent = dev_is_dma_coherent(dev),
		.untrusted = dev_is_pci(dev) && to_pci_dev(dev)->untrusted,
	};

	if (dev->dma_parms)
		settings.dma_parms = *dev->dma_parms;

	return settings;
}

/**
 * kunit_dma_set_coherent() - Make a device cache-coherent or not
 * @dev: the device
 * @coherent: whether it should be cache-coherent
 *
 * Coherency stays as it is where all devices are coherent, where the CPU cannot
 * maintain its caches, and in modules, since arch_setup_dma_ops() is not exported:
 * see kunit_dma_skip_unless_coherent(). The DMA API takes note of it when the DMA
 * mask is set.
 */
static inline void kunit_dma_set_coherent(struct device *dev, bool coherent)
{
#ifndef MODULE
	/* RISC-V without Zicbom needs no alignment, and warns of such devices. */
	if (coherent || dma_get_cache_alignment() > 1)
		arch_setup_dma_ops(dev, coherent);
#endif
}

/**
 * kunit_dma_apply() - Give a device other settings
 * @dev: the device
 * @settings: the settings, of which kunit_dma_set_coherent() may not set coherency
 */
static inline void kunit_dma_apply(struct device *dev,
				   const struct kunit_dma_settings *settings)
{
	dev->bus_dma_limit = settings->bus_dma_limit;
	if (dev->dma_parms)
		*dev->dma_parms = settings->dma_parms;
#ifdef CONFIG_SWIOTLB
	dev->dma_io_tlb_mem = settings->io_tlb_mem;
#endif
	if (dev_is_pci(dev))
		to_pci_dev(dev)->untrusted = settings->untrusted;
	kunit_dma_set_coherent(dev, settings->coherent);
	dma_set_mask(dev, settings->dma_mask);
	dma_set_coherent_mask(dev, settings->coherent_dma_mask);
}

/**
 * kunit_dma_skip_unless_coherent() - Skip if a device is not as it should be
 * @test: the test
 * @dev: the device
 * @coherent: whether it should be cache-coherent
 */
static inline void kunit_dma_skip_unless_coherent(struct kunit *test,
						  struct device *dev,
						  bool coherent)
{
	if (dev_is_dma_coherent(dev) != coherent)
		kunit_skip(test, "cannot make a %s device here",
			   coherent ? "coherent" : "non-coherent");
}

#endif /* _KUNIT_DMA_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings that mirror the address space of a process with HMM.
 *
 * Nothing is pinned. A page is looked up and mapped when the device gets to it, and
 * unmapped when the process is about to lose it. Whoever takes it away waits for the
 * device: it cannot be told to stop, and a transfer soon ends.
 */
#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "edu_dma_priv.h"

/**
 * struct edu_dma_mirror - a range of the address space
 * @mapping: what the rest of the driver sees
 * @notifier: says when the process loses pages
 * @addr: where the range begins
 * @lock: protects what follows. A transfer holds it, so nobody else may have the page
 *	while the device uses it.
 * @dev: the device that @map is for; NULL if it is not mapped
 * @map: which pages the device has
 */
struct edu_dma_mirror {
	struct edu_dma_mapping mapping;
	struct mmu_interval_notifier notifier;
	unsigned long addr;

	struct mutex lock;	/* protects what follows */
	struct device *dev;
	struct hmm_dma_map map;
};

static struct edu_dma_mirror *to_mirror(struct edu_dma_mapping *mapping)
{
	return container_of(mapping, struct edu_dma_mirror, mapping);
}

static void edu_dma_mirror_unmap_page(struct edu_dma_mirror *mirror, size_t idx)
{
	unsigned long pfn = mirror->map.pfn_list[idx];

	lockdep_assert_held(&mirror->lock);

	if (!hmm_dma_unmap_pfn(mirror->dev, &mirror->map, idx))
		return;
	/* The device may have written to it. */
	if (pfn & HMM_PFN_WRITE)
		set_page_dirty(hmm_pfn_to_page(pfn));
}

static bool edu_dma_mirror_invalidate(struct mmu_interval_notifier *notifier,
				      const struct mmu_notifier_range *range,
				      unsigned long seq)
{
	struct edu_dma_mirror *mirror =
		container_of(notifier, struct edu_dma_mirror, notifier);
	size_t first, last, idx;

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&mirror->lock);
	else if (!mutex_trylock(&mirror->lock))
		return false;

	mmu_interval_set_seq(notifier, seq);
	if (mirror->dev) {
		first = PFN_DOWN(max(range->start, mirror->addr) - mirror->addr);
		last = PFN_DOWN(min(range->end - mirror->addr,
				    mirror->mapping.length) - 1);
		for (idx = first; idx <= last; idx++)
			edu_dma_mirror_unmap_page(mirror, idx);
	}

	mutex_unlock(&mirror->lock);
	return true;
}

static const struct mmu_interval_notifier_ops edu_dma_mirror_notifier_ops = {
	.invalidate = edu_dma_mirror_invalidate,
};

static int edu_dma_mirror_map(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct edu_dma_mirror *mirror = to_mirror(mapping);
	struct hmm_dma_map map = {};
	int ret;

	ret = hmm_dma_map_alloc(&edu->pdev->dev, &map, PFN_DOWN(mapping->length),
				PAGE_SIZE);
	if (ret)
		return ret;

	mutex_lock(&mirror->lock);
	mirror->map = map;
	mirror->dev = &edu->pdev->dev;
	mutex_unlock(&mirror->lock);
	return 0;
}

static void edu_dma_mirror_unmap(struct edu_dma *edu, struct edu_dma_mapping *mapping)
{
	struct edu_dma_mirror *mirror = to_mirror(mapping);
	size_t idx;

	mutex_lock(&mirror->lock);
	for (idx = 0; idx < PFN_DOWN(mapping->length); idx++)
		edu_dma_mirror_unmap_page(mirror, idx);
	mirror->dev = NULL;
	mutex_unlock(&mirror->lock);

	/* Nobody looks at it any more. */
	hmm_dma_map_free(&edu->pdev->dev, &mirror->map);
}

/*
 * Look up the page of the process, with a fault if need be. The result does not go to
 * the list of the map, in which an invalidation may clear flags meanwhile.
 */
static int edu_dma_mirror_find(struct edu_dma_mapping *mapping,
			       struct edu_dma_access *access)
{
	struct edu_dma_mirror *mirror = to_mirror(mapping);
	struct mm_struct *mm = mirror->notifier.mm;
	unsigned long addr = mirror->addr + (access->offset & PAGE_MASK);
	struct hmm_range range = {
		.notifier = &mirror->notifier,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.hmm_pfns = &access->pfn,
		.default_flags = HMM_PFN_REQ_FAULT,
	};
	int ret;

	if (access->direction == EDU_DMA_FROM_DEVICE)
		range.default_flags |= HMM_PFN_REQ_WRITE;

	/* The process may be gone, and the file with somebody else. */
	if (!mmget_not_zero(mm))
		return -EFAULT;
	access->pfn = 0;
	access->seq = mmu_interval_read_begin(range.notifier);
	range.notifier_seq = access->seq;
	mmap_read_lock(mm);
	ret = hmm_range_fault(&range);
	mmap_read_unlock(mm);
	mmput(mm);

	/* Memory that is not for this, or an address that is none for a process. */
	if (ret == -EPERM || ret == -EINVAL)
		return -EFAULT;
	return ret == -EBUSY ? -EAGAIN : ret;
}

static int edu_dma_mirror_transfer(struct edu_dma *edu, struct edu_dma_mapping *mapping,
				   struct edu_dma_access *access)
{
	struct edu_dma_mirror *mirror = to_mirror(mapping);
	struct pci_p2pdma_map_state p2p = {};
	const unsigned long kept = HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA |
				   HMM_PFN_P2PDMA_BUS;
	size_t idx = PFN_DOWN(access->offset), in_page = offset_in_page(access->offset);
	unsigned long *pfn;
	dma_addr_t addr;
	int ret;

	mutex_lock(&mirror->lock);
	/* Nobody told of a change has got past the lock, so there was none. */
	if (mmu_interval_read_retry(&mirror->notifier, access->seq)) {
		ret = -EAGAIN;
		goto unlock;
	}

	pfn = &mirror->map.pfn_list[idx];
	*pfn = (*pfn & kept) | access->pfn;
	addr = hmm_dma_map_pfn(mirror->dev, &mirror->map, idx, &p2p);
	if (addr == DMA_MAPPING_ERROR) {
		ret = -EIO;
		goto unlock;
	}

	access->length = min_t(size_t, access->length, PAGE_SIZE - in_page);
	ret = edu_dma_run(edu, addr + in_page, access);
unlock:
	mutex_unlock(&mirror->lock);
	return ret;
}

static void edu_dma_mirror_free(struct edu_dma_mapping *mapping)
{
	struct edu_dma_mirror *mirror = to_mirror(mapping);

	mmu_interval_notifier_remove(&mirror->notifier);
	mutex_destroy(&mirror->lock);
	kfree(mirror);
}

static const struct edu_dma_mapping_ops edu_dma_mirror_ops = {
	.map = edu_dma_mirror_map,
	.unmap = edu_dma_mirror_unmap,
	.find = edu_dma_mirror_find,
	.transfer = edu_dma_mirror_transfer,
	.free = edu_dma_mirror_free,
};

struct edu_dma_mapping *edu_dma_mirror_create(const struct edu_dma_map *arg)
{
	struct edu_dma_mirror *mirror;
	int ret;

	if (arg->attrs || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->length))
		return ERR_PTR(-EINVAL);

	mirror = kzalloc(sizeof(*mirror), GFP_KERNEL);
	if (!mirror)
		return ERR_PTR(-ENOMEM);

	mutex_init(&mirror->lock);
	mirror->addr = arg->addr;
	edu_dma_mapping_init(&mirror->mapping, &edu_dma_mirror_ops, arg->length);

	ret = mmu_interval_notifier_insert(&mirror->notifier, current->mm, arg->addr,
					   arg->length, &edu_dma_mirror_notifier_ops);
	if (ret) {
		mutex_destroy(&mirror->lock);
		kfree(mirror);
		return ERR_PTR(ret);
	}

	return &mirror->mapping;
}

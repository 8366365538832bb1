/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the edu_dma test module know of each other. */
#ifndef EDU_DMA_PRIV_H
#define EDU_DMA_PRIV_H

#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#include "../edu_dma.h"

/**
 * struct edu_dma - one device
 * @ref: held by the driver, and by every open file
 * @misc: /dev/edu_dmaN
 * @name: "edu_dmaN"
 * @id: N
 * @lock: protects what follows. The device does one transfer at a time, and the
 *	lock is held to the end of it, so no mapping goes away under it.
 * @pdev: the PCI device; NULL once the driver has let go of it
 * @mmio: its registers; valid as long as @pdev is
 * @mappings: all mappings of all files
 * @dma_bits: the width of the DMA mask; 0 before the first mapping
 * @stuck: a transfer timed out
 */
struct edu_dma {
	struct kref ref;
	struct miscdevice misc;
	char name[24];
	int id;

	struct mutex lock;	/* protects what follows */
	struct pci_dev *pdev;
	void __iomem *mmio;
	struct list_head mappings;
	u32 dma_bits;
	bool stuck;
};

struct edu_dma_mapping;

/**
 * struct edu_dma_access - what the device is to do next
 * @offset: where in the mapping to begin
 * @buffer: where in the device to begin
 * @length: the number of bytes. The transfer reduces it to what it can do with one
 *	DMA segment.
 * @direction: as in &struct edu_dma_transfer
 * @pfn: what was found there, for mappings that look it up
 * @seq: what tells whether that has changed since
 */
struct edu_dma_access {
	u64 offset;
	u64 buffer;
	u32 length;
	u32 direction;
	unsigned long pfn;
	unsigned long seq;
};

/**
 * struct edu_dma_mapping_ops - what a kind of mappings does
 * @map: map for the device. On failure nothing is left to unmap.
 * @unmap: unmap; nothing that @map got from the device may stay
 * @find: optional: find the memory for an access. It is called without the device's
 *	lock, since it may wait for user space.
 * @transfer: let the device access the memory, or return -EAGAIN if things have
 *	changed since @find
 * @free: free all of it. It is called once, without the device's lock, after the
 *	mapping has been unmapped, or when @map has not been called or has failed.
 *
 * All but @find and @free are called with the device's lock held.
 */
struct edu_dma_mapping_ops {
	int (*map)(struct edu_dma *edu, struct edu_dma_mapping *mapping);
	void (*unmap)(struct edu_dma *edu, struct edu_dma_mapping *mapping);
	int (*find)(struct edu_dma_mapping *mapping, struct edu_dma_access *access);
	int (*transfer)(struct edu_dma *edu, struct edu_dma_mapping *mapping,
			struct edu_dma_access *access);
	void (*free)(struct edu_dma_mapping *mapping);
};

/**
 * struct edu_dma_mapping - memory that the device may access
 * @ref: held by the handle, and by every transfer
 * @node: in &edu_dma.mappings if it is mapped; protected by the device's lock
 * @ops: what is special about this kind
 * @length: its length in bytes
 */
struct edu_dma_mapping {
	struct kref ref;
	struct list_head node;
	const struct edu_dma_mapping_ops *ops;
	u64 length;
};

void edu_dma_mapping_init(struct edu_dma_mapping *mapping,
			  const struct edu_dma_mapping_ops *ops, u64 length);
int edu_dma_run(struct edu_dma *edu, dma_addr_t addr,
		const struct edu_dma_access *access);
int edu_dma_run_sgt(struct edu_dma *edu, struct sg_table *sgt,
		    struct edu_dma_access *access);

/* These return what to map, or an ERR_PTR(). */

#ifdef EDU_DMA_HAS_MIRROR
struct edu_dma_mapping *edu_dma_mirror_create(const struct edu_dma_map *arg);
#else
static inline struct edu_dma_mapping *
edu_dma_mirror_create(const struct edu_dma_map *arg)
{
	return ERR_PTR(-ENOTTY);
}
#endif

#ifdef EDU_DMA_HAS_IMPORT
struct edu_dma_mapping *edu_dma_import_create(struct edu_dma_import *arg);
#else
static inline struct edu_dma_mapping *
edu_dma_import_create(struct edu_dma_import *arg)
{
	return ERR_PTR(-ENOTTY);
}
#endif

#endif /* EDU_DMA_PRIV_H */

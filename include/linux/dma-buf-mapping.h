/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA mappings of device memory for the importers of a dma-buf
 */

#ifndef _LINUX_DMA_BUF_MAPPING_H
#define _LINUX_DMA_BUF_MAPPING_H

#include <linux/dma-direction.h>
#include <linux/types.h>

struct dma_buf_attachment;
struct p2pdma_provider;
struct sg_table;

struct sg_table *dma_buf_phys_vec_to_sgt(struct dma_buf_attachment *attach,
					 struct p2pdma_provider *provider,
					 struct phys_vec *phys_vec,
					 size_t nr_ranges, size_t size,
					 enum dma_data_direction dir);
void dma_buf_free_sgt(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir);

#endif /* _LINUX_DMA_BUF_MAPPING_H */

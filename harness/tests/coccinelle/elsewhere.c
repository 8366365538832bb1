// SPDX-License-Identifier: GPL-2.0
/* A file that does not have the attribute: mappings of another file are unknown. */

struct buffer {
	dma_addr_t addr;
	struct sg_table sgt;
};

static void unmap(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_sgtable(dev, &buf->sgt, DMA_BIDIRECTIONAL, 0);
	dma_sync_single_for_cpu(dev, buf->addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

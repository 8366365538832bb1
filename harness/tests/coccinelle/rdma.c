// SPDX-License-Identifier: GPL-2.0
/* The wrappers of the RDMA core. */

struct umem {
	struct sg_table sgt;
	u64 addr;
};

static int map(struct ib_device *dev, struct umem *umem)
{
	return ib_dma_map_sgtable_attrs(dev, &umem->sgt, DMA_BIDIRECTIONAL,
					DMA_ATTR_REQUIRE_COHERENT);
}

static void unmap(struct ib_device *dev, struct umem *umem)
{
	ib_dma_unmap_sgtable_attrs(dev, &umem->sgt, DMA_BIDIRECTIONAL, 0); /* expect: ib_dma_unmap_sgtable_attrs() may lack */
	ib_dma_unmap_sgtable_attrs(dev, &umem->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void list(struct ib_device *dev, struct scatterlist *sgl, int nents)
{
	if (!ib_dma_map_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	ib_dma_unmap_sg(dev, sgl, nents, DMA_BIDIRECTIONAL); /* expect: ib_dma_unmap_sg() lacks */
	ib_dma_unmap_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void not_checked(struct ib_device *dev, struct sg_table *sgt)
{
	ib_dma_map_sgtable_attrs(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: the result of ib_dma_map_sgtable_attrs() is ignored */
}

static void mixed(struct ib_device *dev, struct page *page)
{
	u64 addr = ib_dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (ib_dma_mapping_error(dev, addr))
		return;
	dma_unmap_page_attrs(dev->dma_device, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: dma_unmap_page_attrs() with DMA_ATTR_REQUIRE_COHERENT of what was mapped without it */
			     DMA_ATTR_REQUIRE_COHERENT);
}

/* Without the attribute. */
static void own(struct ib_device *dev, struct umem *umem, struct page *page, void *buffer)
{
	umem->addr = ib_dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (ib_dma_mapping_error(dev, umem->addr))
		return;
	ib_dma_sync_single_for_cpu(dev, umem->addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	ib_dma_unmap_page(dev, umem->addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	umem->addr = ib_dma_map_single(dev, buffer, 64, DMA_TO_DEVICE);
}

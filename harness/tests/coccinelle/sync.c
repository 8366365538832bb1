// SPDX-License-Identifier: GPL-2.0
/* Sync calls on mappings that need none and get none. */

struct buffer {
	dma_addr_t addr;
	dma_addr_t own;
	struct sg_table sgt;
	struct dma_iova_state state;
};

static void address(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	dma_sync_single_for_cpu(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_for_cpu() of what was mapped with DMA_ATTR_REQUIRE_COHERENT on line 13 */
	dma_sync_single_for_device(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_for_device() of what was mapped */
	dma_sync_single_range_for_cpu(dev, addr, 8, 8, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_range_for_cpu() of what was mapped */
	dma_sync_single_range_for_device(dev, addr, 8, 8, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_range_for_device() of what was mapped */
	dma_sync_single_for_cpu(dev, addr + 8, 8, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_for_cpu() of what was mapped */
	dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void list(struct device *dev, struct scatterlist *sgl, int nents)
{
	if (!dma_map_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_sync_sg_for_cpu(dev, sgl, nents, DMA_BIDIRECTIONAL); /* expect: dma_sync_sg_for_cpu() of what was mapped */
	dma_sync_sg_for_device(dev, sgl, nents, DMA_BIDIRECTIONAL); /* expect: dma_sync_sg_for_device() of what was mapped */
	dma_unmap_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void table(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_sync_sgtable_for_cpu(dev, sgt, DMA_BIDIRECTIONAL); /* expect: dma_sync_sgtable_for_cpu() of what was mapped */
	dma_sync_sgtable_for_device(dev, sgt, DMA_BIDIRECTIONAL); /* expect: dma_sync_sgtable_for_device() of what was mapped */
	dma_sync_sg_for_cpu(dev, sgt->sgl, sgt->orig_nents, DMA_BIDIRECTIONAL); /* expect: dma_sync_sg_for_cpu() of what was mapped */
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

/* dma_iova_sync() flushes the IOTLB, which has to be done. */
static int range(struct device *dev, struct dma_iova_state *state, phys_addr_t phys)
{
	int ret = dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				DMA_ATTR_REQUIRE_COHERENT);

	if (ret)
		return ret;
	ret = dma_iova_sync(dev, state, 0, PAGE_SIZE);
	dma_sync_single_for_cpu(dev, state->addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_for_cpu() of what was mapped */
	return ret;
}

static int map(struct device *dev, struct buffer *buf, struct page *page, struct page *own)
{
	int ret;

	buf->addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				       DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, buf->addr))
		return -EOPNOTSUPP;
	buf->own = dma_map_page(dev, own, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, buf->own))
		return -ENOMEM;
	ret = dma_map_sgtable(dev, &buf->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	if (ret)
		return ret;
	return dma_iova_link(dev, &buf->state, page_to_phys(page), 0, PAGE_SIZE,
			     DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void use(struct device *dev, struct buffer *buf, size_t offset)
{
	dma_sync_single_for_device(dev, buf->addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_for_device() of what may be mapped with DMA_ATTR_REQUIRE_COHERENT on line 62 */
	dma_sync_sgtable_for_device(dev, &buf->sgt, DMA_BIDIRECTIONAL); /* expect: dma_sync_sgtable_for_device() of what may be mapped */
	dma_sync_single_for_device(dev, buf->state.addr + offset, 8, DMA_BIDIRECTIONAL); /* expect: dma_sync_single_for_device() of what may be mapped */
	/* Right, and required. */
	dma_sync_single_for_device(dev, buf->own, PAGE_SIZE, DMA_BIDIRECTIONAL);
	dma_iova_sync(dev, &buf->state, 0, PAGE_SIZE);
}

static void other_mapping(struct device *dev, struct page *page, struct sg_table *sgt)
{
	dma_addr_t addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (dma_mapping_error(dev, addr))
		return;
	dma_sync_single_for_cpu(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0))
		return;
	dma_sync_sgtable_for_cpu(dev, sgt, DMA_BIDIRECTIONAL);
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static void as_told(struct device *dev, struct sg_table *sgt, unsigned long attrs)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	if (!(attrs & DMA_ATTR_REQUIRE_COHERENT))
		dma_sync_sgtable_for_cpu(dev, sgt, DMA_BIDIRECTIONAL);
}

static void parameter(struct device *dev, dma_addr_t addr)
{
	dma_sync_single_for_cpu(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

// SPDX-License-Identifier: GPL-2.0
/* A refusal that nobody notices. */

struct buffer {
	dma_addr_t addr;
	dma_addr_t unchecked;
	dma_addr_t pages[16];
	struct sg_table sgt;
	int nents;
};

static void address(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: addr is never passed to dma_mapping_error(), but DMA_ATTR_REQUIRE_COHERENT can be refused */
					     DMA_ATTR_REQUIRE_COHERENT);

	start_device(dev, addr);
	dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void other_is_checked(struct device *dev, struct page *page, struct page *own)
{
	dma_addr_t addr, mine;

	mine = dma_map_page(dev, own, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, mine))
		return;
	addr = dma_map_phys(dev, page_to_phys(page), PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: addr is never passed to dma_mapping_error() */
			    DMA_ATTR_REQUIRE_COHERENT);
	start_device(dev, addr);
}

static void member(struct device *dev, struct buffer *buf, struct page *page)
{
	buf->unchecked = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: buf->unchecked is never passed to dma_mapping_error() */
					    DMA_ATTR_REQUIRE_COHERENT);
}

static void stored(struct device *dev, struct buffer *buf, struct page *page)
{
	dma_addr_t addr;

	addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: addr is never passed to dma_mapping_error() */
				  DMA_ATTR_REQUIRE_COHERENT);
	buf->unchecked = addr;
}

static void nothing_assigned(struct device *dev, struct page *page, struct sg_table *sgt,
			     struct dma_iova_state *state)
{
	dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: the result of dma_map_page_attrs() is ignored */
	dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: the result of dma_map_sgtable() is ignored, but DMA_ATTR_REQUIRE_COHERENT can be refused */
	(void)dma_map_sg_attrs(dev, sgt->sgl, 1, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: the result of dma_map_sg_attrs() is ignored */
	if (state)
		dma_iova_link(dev, state, 0, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: the result of dma_iova_link() is ignored */
			      DMA_ATTR_REQUIRE_COHERENT);
}

static int overwritten(struct device *dev, struct sg_table *sgt, struct dma_iova_state *state)
{
	int ret;

	ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: the result of dma_map_sgtable() is ignored */
	ret = dma_iova_sync(dev, state, 0, PAGE_SIZE);
	return ret;
}

static void initialized(struct device *dev, struct dma_iova_state *state, phys_addr_t phys)
{
	int ret = dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: the result of dma_iova_link() is ignored */
				DMA_ATTR_REQUIRE_COHERENT);
}

static void only_a_bound(struct device *dev, struct scatterlist *sgl, int nents)
{
	struct scatterlist *sg;
	int i, mapped;

	mapped = dma_map_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: the result of dma_map_sg_attrs() is ignored */
	for_each_sg(sgl, sg, mapped, i)
		start_device(dev, sg_dma_address(sg));
}

/* Right from here on. */

static int checked(struct device *dev, struct buffer *buf, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);
	int ret = dma_mapping_error(dev, addr);

	if (ret)
		return ret;
	start_device(dev, addr);
	return 0;
}

static void check_pages(struct device *dev, struct buffer *buf, struct page *page)
{
	dma_addr_t *pages = buf->pages;

	pages[0] = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, buf->pages[0]))
		stop_device(dev);
}

static void map_member(struct device *dev, struct buffer *buf, struct page *page)
{
	buf->addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				       DMA_ATTR_REQUIRE_COHERENT);
}

static int check_member(struct device *dev, struct buffer *buf)
{
	return dma_mapping_error(dev, buf->addr);
}

static void check_copy(struct device *dev, struct buffer *buf, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	buf->addr = addr;
	if (dma_mapping_error(dev, buf->addr))
		stop_device(dev);
}

static dma_addr_t caller_checks(struct device *dev, struct page *page)
{
	dma_addr_t addr;

	addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  DMA_ATTR_REQUIRE_COHERENT);
	return addr;
}

static void caller_checks_pointer(struct device *dev, struct page *page, dma_addr_t *addr)
{
	*addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				   DMA_ATTR_REQUIRE_COHERENT);
}

static void compared(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (addr != DMA_MAPPING_ERROR)
		start_device(dev, addr);
}

static void tested(struct kunit *test, struct device *dev, struct page *page,
		   struct sg_table *sgt)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	KUNIT_EXPECT_EQ(test, addr, DMA_MAPPING_ERROR);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT));
}

static int looked_at(struct device *dev, struct buffer *buf, struct dma_iova_state *state)
{
	int ret, nents;

	nents = dma_map_sg_attrs(dev, buf->sgt.sgl, 1, DMA_BIDIRECTIONAL,
				 DMA_ATTR_REQUIRE_COHERENT);
	if (!nents)
		return -EOPNOTSUPP;
	buf->nents = dma_map_sg_attrs(dev, buf->sgt.sgl, 1, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT);
	ret = dma_iova_link(dev, state, 0, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
			    DMA_ATTR_REQUIRE_COHERENT);
	switch (ret) {
	case 0:
		break;
	default:
		return ret;
	}
	return dma_map_sgtable(dev, &buf->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void looked_at_in_condition(struct device *dev, struct sg_table *sgt)
{
	int ret;

	if ((ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT)))
		stop_device(dev);
}

static void without(struct device *dev, struct page *page, struct sg_table *sgt)
{
	dma_addr_t addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);

	start_device(dev, addr);
	dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
}

// SPDX-License-Identifier: GPL-2.0
/* A refusal that is worked around. */

struct buffer {
	struct sg_table sgt;
	bool bounced;
};

static dma_addr_t page(struct device *dev, struct page *page)
{
	dma_addr_t addr;

	addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, addr))
		addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: what was refused on line 13 must not be mapped without DMA_ATTR_REQUIRE_COHERENT */
	return addr;
}

static dma_addr_t phys(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL,
				       DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT);

	if (!dma_mapping_error(dev, addr))
		return addr;
	addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO); /* expect: what was refused on line 22 */
	return addr;
}

static int table(struct device *dev, struct buffer *buf)
{
	int ret;

	ret = dma_map_sgtable(dev, &buf->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	if (ret == -EOPNOTSUPP) {
		buf->bounced = true;
		ret = dma_map_sgtable(dev, &buf->sgt, DMA_BIDIRECTIONAL, 0); /* expect: what was refused on line 35 */
	}
	return ret;
}

static int list(struct device *dev, struct scatterlist *sgl, int nents)
{
	int mapped = dma_map_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL,
				      DMA_ATTR_REQUIRE_COHERENT);

	if (!mapped)
		mapped = dma_map_sg(dev, sgl, nents, DMA_BIDIRECTIONAL); /* expect: what was refused on line 45 */
	return mapped;
}

static int link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys)
{
	int ret = dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				DMA_ATTR_REQUIRE_COHERENT);

	if (ret)
		ret = dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: what was refused on line 55 */
	return ret;
}

static int condition(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0)) /* expect: what was refused on line 65 */
			return -EIO;
	return 0;
}

static int variable(struct device *dev, struct sg_table *sgt)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;
	int ret;

again:
	ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
	if (ret == -EOPNOTSUPP) {
		attrs &= ~DMA_ATTR_REQUIRE_COHERENT; /* expect: what was refused on line 77 */
		goto again;
	}
	return ret;
}

static int variable_set(struct device *dev, struct sg_table *sgt)
{
	unsigned long attrs = DMA_ATTR_WEAK_ORDERING | DMA_ATTR_REQUIRE_COHERENT;
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);

	if (ret) {
		attrs = DMA_ATTR_WEAK_ORDERING; /* expect: what was refused on line 88 */
		ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
	}
	return ret;
}

static int variable_of_condition(struct device *dev, struct sg_table *sgt)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs)) {
		attrs = 0; /* expect: what was refused on line 101 */
		return dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
	}
	return 0;
}

/* Right from here on. */

static int same_attributes(struct device *dev, struct sg_table *sgt)
{
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);

	if (ret == -ENOMEM) {
		cond_resched();
		ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	}
	return ret;
}

static int fewer_other_attributes(struct device *dev, struct sg_table *sgt)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_WEAK_ORDERING;
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);

	if (ret) {
		attrs &= ~DMA_ATTR_WEAK_ORDERING;
		ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
	}
	return ret;
}

static int other_attributes(struct device *dev, struct sg_table *sgt, unsigned long more)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_WEAK_ORDERING;
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);

	if (ret == -ENOMEM) {
		attrs = DMA_ATTR_REQUIRE_COHERENT;
		ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
	}
	return ret;
}

static int never_the_attribute(struct device *dev, struct sg_table *sgt)
{
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_WEAK_ORDERING);

	if (ret)
		ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	return ret;
}

static dma_addr_t other_part(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		addr = dma_map_page(dev, page, PAGE_SIZE, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return addr;
}

static dma_addr_t other_memory(struct device *dev, struct page *page, struct page *own)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		addr = dma_map_page(dev, own, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return addr;
}

static int either(struct device *dev, struct page **pages, dma_addr_t *addrs, bool user)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		dma_addr_t addr;

		if (user)
			addr = dma_map_page_attrs(dev, pages[i], 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
						  DMA_ATTR_REQUIRE_COHERENT);
		else
			addr = dma_map_page(dev, pages[i], 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
		if (dma_mapping_error(dev, addr))
			return -EOPNOTSUPP;
		addrs[i] = addr;
	}
	return 0;
}

static int either_way_round(struct device *dev, struct page **pages, dma_addr_t *addrs, bool own)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		dma_addr_t addr;

		if (own)
			addr = dma_map_page(dev, pages[i], 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
		else
			addr = dma_map_page_attrs(dev, pages[i], 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
						  DMA_ATTR_REQUIRE_COHERENT);
		if (dma_mapping_error(dev, addr))
			return -EOPNOTSUPP;
		addrs[i] = addr;
	}
	return 0;
}

static int each_its_own(struct device *dev, struct sg_table *sgts, const bool *user)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		unsigned long attrs = DMA_ATTR_WEAK_ORDERING;
		int ret;

		if (user[i])
			attrs = DMA_ATTR_REQUIRE_COHERENT;
		ret = dma_map_sgtable(dev, &sgts[i], DMA_BIDIRECTIONAL, attrs);
		if (ret)
			return ret;
	}
	return 0;
}

static int one_after_the_other(struct device *dev, struct sg_table *sgt)
{
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);

	if (ret)
		return ret;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (!ret)
		dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	return ret;
}

static int attribute_after_all(struct device *dev, struct sg_table *sgt)
{
	int ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);

	if (ret)
		ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	return ret;
}

// SPDX-License-Identifier: GPL-2.0
/* An unmap in the function of its mapping, with other attributes. */

static void page(struct device *dev, struct page *page)
{
	dma_addr_t addr;

	addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_page() lacks DMA_ATTR_REQUIRE_COHERENT, with which line 8 mapped it */
}

static void page_attrs(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_page_attrs() lacks */
}

static void single(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_single(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_single() lacks */
}

static void single_attrs(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_single_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: dma_unmap_single_attrs() lacks */
			       DMA_ATTR_SKIP_CPU_SYNC);
}

static void phys(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL,
				       DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_phys() lacks */
}

static void list(struct device *dev, struct scatterlist *sgl, int nents)
{
	if (!dma_map_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sg(dev, sgl, nents, DMA_BIDIRECTIONAL); /* expect: dma_unmap_sg() lacks */
}

static void list_attrs(struct device *dev, struct scatterlist *sgl, int nents)
{
	if (!dma_map_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_sg_attrs() lacks */
}

static void table(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_sgtable() lacks */
}

static void list_of_table(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sg(dev, sgt->sgl, sgt->orig_nents, DMA_BIDIRECTIONAL); /* expect: dma_unmap_sg() lacks */
}

static void table_on_stack(struct device *dev)
{
	struct sg_table sgt;

	if (dma_map_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sg_attrs(dev, sgt.sgl, sgt.orig_nents, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_sg_attrs() lacks */
}

static void range(struct device *dev, struct dma_iova_state *state, phys_addr_t phys)
{
	if (dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
			  DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_iova_unlink(dev, state, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: dma_iova_unlink() lacks */
}

static void whole_range(struct device *dev, phys_addr_t phys)
{
	struct dma_iova_state state;

	if (dma_iova_link(dev, &state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
			  DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_iova_destroy(dev, &state, PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: dma_iova_destroy() lacks */
}

static void on_one_path(struct device *dev, struct page *page, bool failed)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	if (failed)
		goto err_unmap;
	dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	return;

err_unmap:
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_page() lacks */
}

static void copied(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);
	dma_addr_t copy;

	if (dma_mapping_error(dev, addr))
		return;
	copy = addr;
	dma_unmap_page(dev, copy, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_page() lacks */
}

static void other_way_round(struct device *dev, struct page *page)
{
	dma_addr_t addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: dma_unmap_page_attrs() with DMA_ATTR_REQUIRE_COHERENT of what was mapped without it on line 141 */
			     DMA_ATTR_REQUIRE_COHERENT);
}

static void other_way_round_table(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, /* expect: dma_unmap_sgtable() with DMA_ATTR_REQUIRE_COHERENT of what was mapped without it */
			  DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT);
}

static void other_way_round_range(struct device *dev, struct dma_iova_state *state,
				  phys_addr_t phys)
{
	if (dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, 0))
		return;
	dma_iova_unlink(dev, state, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: dma_iova_unlink() with DMA_ATTR_REQUIRE_COHERENT of what was mapped without it */
			DMA_ATTR_REQUIRE_COHERENT);
}

/* Right from here on. */

static void good(struct device *dev, struct page *page, struct sg_table *sgt, phys_addr_t phys,
		 struct dma_iova_state *state)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);

	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);

	if (dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
			  DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_iova_destroy(dev, state, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void without(struct device *dev, struct page *page, struct sg_table *sgt)
{
	dma_addr_t addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
}

static void two_variables(struct device *dev, struct page *page, struct page *other)
{
	dma_addr_t shared, own;

	shared = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				    DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, shared))
		return;
	own = dma_map_page(dev, other, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (!dma_mapping_error(dev, own))
		dma_unmap_page(dev, own, PAGE_SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_page_attrs(dev, shared, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void either(struct device *dev, struct page *page, bool user)
{
	dma_addr_t addr;

	if (user)
		addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					  DMA_ATTR_REQUIRE_COHERENT);
	else
		addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, addr))
		return;
	if (user)
		dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL,
				     DMA_ATTR_REQUIRE_COHERENT);
	else
		dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

static void from_elsewhere(struct device *dev, struct page *page, dma_addr_t given)
{
	dma_addr_t addr = given;

	if (page)
		addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					  DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, addr))
		return;
	if (!page)
		dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

static int map_own(struct device *dev, struct sg_table *sgt)
{
	return dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static void by_other_function(struct device *dev, bool user)
{
	struct sg_table sgt;

	if (user ? dma_map_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT) :
	    map_own(dev, &sgt))
		return;
	if (!user)
		dma_unmap_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, 0);
}

static void filled_by_other_function(struct device *dev)
{
	struct sg_table sgt;

	if (sg_alloc_table(&sgt, 1, GFP_KERNEL) ||
	    dma_map_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, &sgt, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_sgtable() lacks */
}

static void unmap_parameter(struct device *dev, dma_addr_t addr)
{
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

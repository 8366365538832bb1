// SPDX-License-Identifier: GPL-2.0
/* Memory of the kernel, and memory that is yet to be allocated. */

static dma_addr_t kmalloced(struct device *dev)
{
	void *buffer = kmalloc(64, GFP_KERNEL);

	return dma_map_single_attrs(dev, buffer, 64, DMA_BIDIRECTIONAL, /* expect: for memory that user space shares, not for kernel memory */
				    DMA_ATTR_REQUIRE_COHERENT);
}

static dma_addr_t devm_kmalloced(struct device *dev)
{
	void *buffer = devm_kzalloc(dev, 64, GFP_KERNEL);

	return dma_map_page_attrs(dev, virt_to_page(buffer), offset_in_page(buffer), 64, /* expect: not for kernel memory */
				  DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static dma_addr_t on_stack(struct device *dev)
{
	u8 buffer[64];

	return dma_map_single_attrs(dev, buffer, sizeof(buffer), DMA_BIDIRECTIONAL, /* expect: not for kernel memory */
				    DMA_ATTR_REQUIRE_COHERENT);
}

static dma_addr_t vmalloced(struct device *dev)
{
	void *buffer = vmalloc(PAGE_SIZE);

	return dma_map_page_attrs(dev, vmalloc_to_page(buffer), 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: not for kernel memory */
				  DMA_ATTR_REQUIRE_COHERENT);
}

static dma_addr_t page_of_address(struct device *dev, void *buffer)
{
	struct page *page = virt_to_page(buffer);

	return dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: not for kernel memory */
				  DMA_ATTR_REQUIRE_COHERENT);
}

static dma_addr_t phys_of_address(struct device *dev, void *buffer)
{
	phys_addr_t phys;

	phys = virt_to_phys(buffer);
	return dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: not for kernel memory */
}

static int link(struct device *dev, struct dma_iova_state *state, void *buffer)
{
	return dma_iova_link(dev, state, __pa(buffer), 0, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: not for kernel memory */
			     DMA_ATTR_REQUIRE_COHERENT);
}

static int list(struct device *dev, void *buffer, size_t len)
{
	struct scatterlist sg;

	sg_init_one(&sg, buffer, len);
	if (!dma_map_sg_attrs(dev, &sg, 1, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT)) /* expect: not for kernel memory */
		return -EOPNOTSUPP;
	dma_unmap_sg_attrs(dev, &sg, 1, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	return 0;
}

static int table(struct device *dev, struct sg_table *sgt, void *buffer, size_t len)
{
	sg_set_buf(sgt->sgl, buffer, len);
	return dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT); /* expect: not for kernel memory */
}

static void *allocate(struct device *dev, dma_addr_t *addr)
{
	return dma_alloc_attrs(dev, PAGE_SIZE, addr, GFP_KERNEL, DMA_ATTR_REQUIRE_COHERENT); /* expect: dma_alloc_attrs() does not take DMA_ATTR_REQUIRE_COHERENT */
}

static void *allocate_managed(struct device *dev, dma_addr_t *addr)
{
	return dmam_alloc_attrs(dev, PAGE_SIZE, addr, GFP_KERNEL, /* expect: dmam_alloc_attrs() does not take */
				DMA_ATTR_NO_WARN | DMA_ATTR_REQUIRE_COHERENT);
}

static struct sg_table *allocate_noncontiguous(struct device *dev)
{
	return dma_alloc_noncontiguous(dev, SZ_1M, DMA_BIDIRECTIONAL, GFP_KERNEL, /* expect: dma_alloc_noncontiguous() does not take */
				       DMA_ATTR_REQUIRE_COHERENT);
}

/* Right from here on. */

static dma_addr_t without(struct device *dev, void *buffer)
{
	if (is_vmalloc_addr(buffer))
		return dma_map_page_attrs(dev, vmalloc_to_page(buffer), 0, PAGE_SIZE,
					  DMA_BIDIRECTIONAL, DMA_ATTR_WEAK_ORDERING);
	return dma_map_single_attrs(dev, buffer, 64, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
}

static dma_addr_t user_page(struct device *dev, unsigned long address)
{
	struct page *page;

	if (pin_user_pages_fast(address, 1, FOLL_WRITE | FOLL_LONGTERM, &page) != 1)
		return DMA_MAPPING_ERROR;
	return dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  DMA_ATTR_REQUIRE_COHERENT);
}

static dma_addr_t either_page(struct device *dev, struct page **pages, void *header, int i)
{
	struct page *page;

	if (i)
		page = pages[i];
	else
		page = virt_to_page(header);
	return dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  DMA_ATTR_REQUIRE_COHERENT);
}

static int user_table(struct device *dev, struct sg_table *sgt, struct page **pages,
		      struct scatterlist *own, void *header)
{
	int ret = sg_alloc_table_from_pages(sgt, pages, 16, 0, 16 * PAGE_SIZE, GFP_KERNEL);

	if (ret)
		return ret;
	sg_init_one(own, header, 64);
	return dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void *allocate_right(struct device *dev, dma_addr_t *addr)
{
	return dma_alloc_attrs(dev, PAGE_SIZE, addr, GFP_KERNEL, DMA_ATTR_NO_WARN);
}

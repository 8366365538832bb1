// SPDX-License-Identifier: GPL-2.0
/* An unmap in another function than its mapping, connected by a member. */

struct buffer {
	dma_addr_t addr;
	dma_addr_t other;
	dma_addr_t pages[16];
	struct sg_table sgt;
	struct sg_table *table;
	struct dma_iova_state state;
	struct {
		dma_addr_t addr;
	} nested;
	dma_addr_t mixed;
	dma_addr_t unknown;
	dma_addr_t allocated;
	dma_addr_t plain;
};

struct command {
	dma_addr_t addr;
	struct sg_table sgt;
};

static int map(struct device *dev, struct buffer *buffer, struct page *page)
{
	buffer->addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					  DMA_ATTR_REQUIRE_COHERENT);
	if (dma_mapping_error(dev, buffer->addr))
		return -EOPNOTSUPP;
	return 0;
}

static void unmap(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_page() may lack DMA_ATTR_REQUIRE_COHERENT, with which line 27 mapped it */
	buf->addr = DMA_MAPPING_ERROR;
}

static void unmap_copy(struct device *dev, struct buffer *buf)
{
	dma_addr_t addr = buf->addr;

	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_page() may lack */
}

static void unmap_right(struct device *dev, struct buffer *buf)
{
	dma_unmap_page_attrs(dev, buf->addr, PAGE_SIZE, DMA_BIDIRECTIONAL,
			     DMA_ATTR_REQUIRE_COHERENT);
	buf->addr = 0;
}

/* The same name in another structure. */
static int map_command(struct device *dev, struct command *command, struct page *page)
{
	command->addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return dma_mapping_error(dev, command->addr);
}

static void unmap_command(struct device *dev, struct command *command)
{
	dma_unmap_page(dev, command->addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* Another member of the same structure. */
static int map_other(struct device *dev, struct buffer *buf, struct page *page)
{
	buf->other = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return dma_mapping_error(dev, buf->other);
}

static void unmap_other(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->other, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

static int map_pages(struct device *dev, struct buffer *buf, struct page **pages)
{
	dma_addr_t *list = buf->pages;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		dma_addr_t addr = dma_map_phys(dev, page_to_phys(pages[i]), PAGE_SIZE,
					       DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);

		if (dma_mapping_error(dev, addr))
			return -EOPNOTSUPP;
		list[i] = addr;
	}
	return 0;
}

static void unmap_pages(struct device *dev, struct buffer *buf)
{
	unsigned int page;

	for (page = 0; page < 16; page++)
		dma_unmap_phys(dev, buf->pages[page], PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_phys() may lack */
}

static void unmap_pages_right(struct device *dev, struct buffer *buf)
{
	unsigned int page;

	for (page = 0; page < 16; page++)
		dma_unmap_phys(dev, buf->pages[page], PAGE_SIZE, DMA_BIDIRECTIONAL,
			       DMA_ATTR_REQUIRE_COHERENT);
}

static int map_table(struct device *dev, struct buffer *buf)
{
	return dma_map_sgtable(dev, &buf->sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void unmap_table(struct device *dev, struct buffer buf)
{
	dma_unmap_sgtable(dev, &buf.sgt, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_sgtable() may lack */
}

static void unmap_list_of_table(struct device *dev, struct buffer *buf)
{
	struct scatterlist *sgl = buf->sgt.sgl;

	dma_unmap_sg(dev, sgl, buf->sgt.orig_nents, DMA_BIDIRECTIONAL); /* expect: dma_unmap_sg() may lack */
}

static void unmap_table_right(struct device *dev, struct buffer *buf)
{
	struct sg_table *sgt = &buf->sgt;

	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static int map_pointer_to_table(struct device *dev, struct buffer *buf)
{
	return dma_map_sgtable(dev, buf->table, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void unmap_pointer_to_table(struct device *dev, struct buffer *buf)
{
	dma_unmap_sgtable(dev, buf->table, DMA_BIDIRECTIONAL, 0); /* expect: dma_unmap_sgtable() may lack */
}

static void unmap_table_of_command(struct device *dev, struct command *command)
{
	dma_unmap_sgtable(dev, &command->sgt, DMA_BIDIRECTIONAL, 0);
}

static int link(struct device *dev, struct buffer *buf, phys_addr_t phys)
{
	struct dma_iova_state *state = &buf->state;
	int ret;

	ret = dma_iova_link(dev, state, phys, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
			    DMA_ATTR_REQUIRE_COHERENT);
	if (ret)
		return ret;
	return dma_iova_sync(dev, state, 0, PAGE_SIZE);
}

static void unlink(struct device *dev, struct buffer *buf)
{
	dma_iova_destroy(dev, &buf->state, PAGE_SIZE, DMA_BIDIRECTIONAL, 0); /* expect: dma_iova_destroy() may lack */
}

static int map_nested(struct device *dev, struct buffer *buf, struct page *page)
{
	dma_addr_t addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					     DMA_ATTR_REQUIRE_COHERENT);

	if (dma_mapping_error(dev, addr))
		return -EOPNOTSUPP;
	buf->nested.addr = addr;
	return 0;
}

static void unmap_nested(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->nested.addr, PAGE_SIZE, DMA_BIDIRECTIONAL); /* expect: dma_unmap_page() may lack */
}

/* Mapped with the attribute here, without it there: the driver knows which is which. */
static int map_user(struct device *dev, struct buffer *buf, struct page *page)
{
	buf->mixed = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					DMA_ATTR_REQUIRE_COHERENT);
	return dma_mapping_error(dev, buf->mixed);
}

static int map_kernel(struct device *dev, struct buffer *buf, struct page *page)
{
	buf->mixed = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return dma_mapping_error(dev, buf->mixed);
}

static void unmap_kernel(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->mixed, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* So it may with attributes that somebody else chooses. */
static int map_as_told(struct device *dev, struct buffer *buf, struct page *page,
		       unsigned long attrs)
{
	if (attrs)
		buf->unknown = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, attrs);
	else
		buf->unknown = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
						  DMA_ATTR_REQUIRE_COHERENT);
	return dma_mapping_error(dev, buf->unknown);
}

static void unmap_unknown(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->unknown, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* And with addresses that come from elsewhere. */
static int map_or_take(struct device *dev, struct buffer *buf, struct page *page,
		       struct scatterlist *sg)
{
	if (sg) {
		buf->allocated = sg_dma_address(sg);
		return 0;
	}
	buf->allocated = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
					    DMA_ATTR_REQUIRE_COHERENT);
	return dma_mapping_error(dev, buf->allocated);
}

static void unmap_allocated(struct device *dev, struct buffer *buf)
{
	dma_unmap_page(dev, buf->allocated, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

static int map_plain(struct device *dev, struct buffer *buf, struct page *page)
{
	buf->plain = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	return dma_mapping_error(dev, buf->plain);
}

static void unmap_plain(struct device *dev, struct buffer *buf)
{
	dma_unmap_page_attrs(dev, buf->plain, PAGE_SIZE, DMA_BIDIRECTIONAL, /* expect: dma_unmap_page_attrs() with DMA_ATTR_REQUIRE_COHERENT of what may be mapped without it on line 239 */
			     DMA_ATTR_REQUIRE_COHERENT);
}

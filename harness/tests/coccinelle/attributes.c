// SPDX-License-Identifier: GPL-2.0
/* Where attributes come from, and what can be known of them. */

#define SHARED_ATTRS	(DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT)
#define DEVICE_ATTRS	DMA_ATTR_MMIO
#define MORE_ATTRS	(SHARED_ATTRS | DMA_ATTR_SKIP_CPU_SYNC)

struct region {
	struct sg_table sgt;
	unsigned long attrs;
	unsigned long other_attrs;
	unsigned long set_elsewhere;
};

static void combined(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL,
			    DMA_ATTR_WEAK_ORDERING | DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_NO_WARN))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, /* expect: lacks DMA_ATTR_REQUIRE_COHERENT */
			  DMA_ATTR_WEAK_ORDERING | DMA_ATTR_NO_WARN);
}

static void combined_right(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL,
			    DMA_ATTR_WEAK_ORDERING | DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL,
			  DMA_ATTR_SKIP_CPU_SYNC | (DMA_ATTR_REQUIRE_COHERENT));
}

static void combined_with_unknown(struct device *dev, struct sg_table *sgt, unsigned long attrs)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs | DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO); /* expect: lacks */
}

static void mmio(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
}

static void macro(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, SHARED_ATTRS);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DEVICE_ATTRS); /* expect: lacks */
}

static void macro_of_macro(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, MORE_ATTRS);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO); /* expect: lacks */
}

static void macro_right(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, SHARED_ATTRS);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, MORE_ATTRS);
}

static void macro_of_other_file(struct device *dev, phys_addr_t phys)
{
	dma_addr_t addr = dma_map_phys(dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL, SHARED_ATTRS);

	if (dma_mapping_error(dev, addr))
		return;
	dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DRIVER_ATTRS);
}

static void variable(struct device *dev, struct sg_table *sgt)
{
	const unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0); /* expect: lacks */
}

static void variable_with_more(struct device *dev, struct sg_table *sgt, bool mmio)
{
	unsigned long attrs, none = 0;

	attrs = DMA_ATTR_REQUIRE_COHERENT;
	if (mmio)
		attrs |= DMA_ATTR_MMIO;
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, none); /* expect: lacks */
}

static void variable_right(struct device *dev, struct sg_table *sgt)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs);
}

static void variable_on_condition(struct device *dev, struct sg_table *sgt, bool user)
{
	unsigned long attrs = 0;

	if (user)
		attrs |= DMA_ATTR_REQUIRE_COHERENT;
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	if (user)
		dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
	else
		dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static void variable_set_twice(struct device *dev, struct sg_table *sgt, bool user)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	if (!user)
		attrs = DMA_ATTR_WEAK_ORDERING;
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_WEAK_ORDERING);
}

static void variable_masked(struct device *dev, struct sg_table *sgt, unsigned long mask)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	attrs &= mask;
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static void variable_set_by_other(struct device *dev, struct sg_table *sgt)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	choose_attrs(dev, &attrs);
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static void parameter(struct device *dev, struct sg_table *sgt, unsigned long attrs)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);
}

static void conditional(struct device *dev, struct sg_table *sgt, bool user)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, user ? DMA_ATTR_REQUIRE_COHERENT : 0))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static void conditional_combined(struct device *dev, struct sg_table *sgt, bool user)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL,
			    user ? (DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT) : DMA_ATTR_MMIO))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
}

static void conditional_between(struct device *dev, struct sg_table *sgt, bool user)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL,
			    user ? (DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT | DMA_ATTR_NO_WARN) :
				   DMA_ATTR_MMIO))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
}

static void cast(struct device *dev, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, (unsigned long)DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, (struct sg_table *)sgt, DMA_BIDIRECTIONAL, 0); /* expect: lacks */
}

static void commas(struct driver *driver, struct sg_table *sgt, int channel)
{
	if (dma_map_sgtable(channel_device(driver, channel), sgt, DMA_BIDIRECTIONAL,
			    DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(channel_device(driver, channel), sgt, DMA_BIDIRECTIONAL, 0); /* expect: lacks */
}

static void removed(struct device *dev, struct sg_table *sgt, unsigned long attrs)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, attrs & ~DMA_ATTR_REQUIRE_COHERENT))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

static int member(struct device *dev, struct region *region, bool relaxed)
{
	region->attrs = DMA_ATTR_REQUIRE_COHERENT;
	if (relaxed)
		region->attrs |= DMA_ATTR_WEAK_ORDERING;
	region->other_attrs = 0;
	region->set_elsewhere = DMA_ATTR_REQUIRE_COHERENT;
	return dma_map_sgtable(dev, &region->sgt, DMA_BIDIRECTIONAL, region->attrs);
}

static void unmap_member(struct device *dev, struct region *region)
{
	dma_unmap_sgtable(dev, &region->sgt, DMA_BIDIRECTIONAL, 0); /* expect: may lack */
}

static void unmap_member_right(struct device *dev, struct region *r)
{
	dma_unmap_sgtable(dev, &r->sgt, DMA_BIDIRECTIONAL, r->attrs);
}

/* Another file may set it. */
static void unmap_member_unknown(struct device *dev, struct region *r)
{
	dma_unmap_sgtable(dev, &r->sgt, DMA_BIDIRECTIONAL, r->other_attrs);
}

static void set_as_told(struct region *region, unsigned long attrs)
{
	region->set_elsewhere = attrs;
}

static void member_set_elsewhere(struct device *dev, struct region *region, struct sg_table *sgt)
{
	if (dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, region->set_elsewhere))
		return;
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
}

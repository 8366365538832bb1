// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA mappings of device memory for the importers of a dma-buf
 *
 * Memory in the BAR of a PCI device often has no struct pages, so an exporter
 * cannot build a scatterlist of it and hand that to dma_map_sgtable(). Here the
 * DMA addresses come from physical addresses, and the scatterlist is only what
 * carries them to the importer: it has no CPU side.
 *
 *	route			DMA address		to undo
 *	below one switch	address on the bus	nothing
 *	host bridge, IOMMU	one IOVA range		unlink and free the range
 *	host bridge		entry by entry		unmap entry by entry
 */

#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

/**
 * struct dma_buf_dma - A mapping, and what it takes to undo it
 * @sgt: the scatterlist that the importer gets
 * @state: the IOVA range, if one holds all of the mapping
 * @mapped: every entry of @sgt has been mapped by itself
 */
struct dma_buf_dma {
	struct sg_table sgt;
	struct dma_iova_state state;
	bool mapped;
};

static bool ranges_valid(const struct phys_vec *phys_vec, size_t nr_ranges,
			 size_t size)
{
	size_t i, sum = 0;

	for (i = 0; i < nr_ranges; i++) {
		phys_addr_t end;

		if (!phys_vec[i].len || !PAGE_ALIGNED(phys_vec[i].len) ||
		    !PAGE_ALIGNED(phys_vec[i].paddr))
			return false;
		if (check_add_overflow(phys_vec[i].paddr, phys_vec[i].len, &end))
			return false;
		if (check_add_overflow(sum, phys_vec[i].len, &sum))
			return false;
	}

	/* The top bit of the size of an IOVA range is a flag. */
	return sum && sum == size && sum <= SSIZE_MAX;
}

/*
 * Entries end where a DMA address is a multiple of the returned power of two,
 * so that none is longer than the importer takes, nor crosses its boundary.
 */
static size_t entry_alignment(struct device *dev)
{
	unsigned long last = min(dma_get_max_seg_size(dev), SZ_2G) - 1;

	return rounddown_pow_of_two(min(last, dma_get_seg_boundary(dev)) + 1);
}

static size_t entry_len(u64 addr, size_t len, size_t alignment)
{
	return min_t(u64, len, alignment - (addr & (alignment - 1)));
}

static u64 nr_entries(u64 addr, size_t len, size_t alignment)
{
	unsigned int shift = ilog2(alignment);

	return ((addr + len - 1) >> shift) - (addr >> shift) + 1;
}

static struct scatterlist *fill_entries(struct scatterlist *sg, dma_addr_t addr,
					size_t len, size_t alignment)
{
	while (len) {
		size_t part = entry_len(addr, len, alignment);

		sg_dma_address(sg) = addr;
		sg_dma_len(sg) = part;
		sg = sg_next(sg);
		addr += part;
		len -= part;
	}

	return sg;
}

static int bus_ranges(struct device *dev, struct dma_buf_dma *dma,
		      struct p2pdma_provider *provider,
		      const struct phys_vec *phys_vec, size_t nr_ranges,
		      size_t alignment)
{
	struct scatterlist *sg = dma->sgt.sgl;
	size_t i;

	for (i = 0; i < nr_ranges; i++) {
		dma_addr_t addr = pci_p2pdma_bus_addr_map(provider,
							  phys_vec[i].paddr);

		/* Nobody else looks at a bus address before the device does. */
		if (addr + phys_vec[i].len - 1 > dma_get_mask(dev))
			return -EREMOTEIO;

		sg = fill_entries(sg, addr, phys_vec[i].len, alignment);
	}

	return 0;
}

static int link_ranges(struct device *dev, struct dma_buf_dma *dma,
		       const struct phys_vec *phys_vec, size_t nr_ranges,
		       size_t alignment, enum dma_data_direction dir)
{
	size_t i, linked = 0;
	int ret;

	for (i = 0; i < nr_ranges; i++) {
		ret = dma_iova_link(dev, &dma->state, phys_vec[i].paddr, linked,
				    phys_vec[i].len, dir, DMA_ATTR_MMIO);
		if (ret)
			goto err_unlink;

		linked += phys_vec[i].len;
		cond_resched();
	}

	ret = dma_iova_sync(dev, &dma->state, 0, linked);
	if (ret)
		goto err_unlink;

	fill_entries(dma->sgt.sgl, dma->state.addr, linked, alignment);
	return 0;

err_unlink:
	if (linked)
		dma_iova_unlink(dev, &dma->state, 0, linked, dir, DMA_ATTR_MMIO);
	return ret;
}

/*
 * Only the memory itself will do, and user space may well have asked for what
 * the device cannot reach: fail without a warning.
 */
#define DMA_BUF_MAP_ATTRS	(DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT)

static void unmap_entries(struct device *dev, struct dma_buf_dma *dma,
			  enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(&dma->sgt, sg, i) {
		/* This is as far as map_ranges() came. */
		if (!sg_dma_len(sg))
			break;

		dma_unmap_phys(dev, sg_dma_address(sg), sg_dma_len(sg), dir,
			       DMA_BUF_MAP_ATTRS);
	}
}

static int map_ranges(struct device *dev, struct dma_buf_dma *dma,
		      const struct phys_vec *phys_vec, size_t nr_ranges,
		      size_t alignment, enum dma_data_direction dir)
{
	struct scatterlist *sg = dma->sgt.sgl;
	size_t i;

	for (i = 0; i < nr_ranges; i++) {
		phys_addr_t paddr = phys_vec[i].paddr;
		size_t len = phys_vec[i].len;

		/* One mapping per entry, since that is how they are unmapped. */
		while (len) {
			size_t part = entry_len(paddr, len, alignment);
			dma_addr_t addr = dma_map_phys(dev, paddr, part, dir,
						       DMA_BUF_MAP_ATTRS);
			int ret = dma_mapping_error(dev, addr);

			if (ret) {
				unmap_entries(dev, dma, dir);
				return ret;
			}

			sg_dma_address(sg) = addr;
			sg_dma_len(sg) = part;
			sg = sg_next(sg);
			paddr += part;
			len -= part;
			cond_resched();
		}
	}

	dma->mapped = true;
	return 0;
}

/*
 * The addresses which decide where entries end are those that the device gets.
 * Those of single mappings are not known yet: the physical ones stand in, as the
 * two are the same for the memory of devices, or an IOMMU aligns what it maps.
 */
static int alloc_entries(struct dma_buf_dma *dma,
			 struct p2pdma_provider *provider, bool bus_address,
			 const struct phys_vec *phys_vec, size_t nr_ranges,
			 size_t size, size_t alignment)
{
	u64 nents = 0;
	size_t i;

	if (dma_use_iova(&dma->state)) {
		nents = nr_entries(dma->state.addr, size, alignment);
	} else {
		for (i = 0; i < nr_ranges; i++) {
			u64 addr = phys_vec[i].paddr;

			if (bus_address)
				addr = pci_p2pdma_bus_addr_map(provider, addr);
			nents += nr_entries(addr, phys_vec[i].len, alignment);
		}
	}

	/* Everybody counts entries in an int. */
	if (nents > INT_MAX)
		return -EINVAL;

	return sg_alloc_table(&dma->sgt, nents, GFP_KERNEL);
}

static void free_entries(struct sg_table *sgt)
{
	/* Importers see none, but this is what sg_free_table() goes by. */
	sgt->orig_nents = sgt->nents;
	sg_free_table(sgt);
}

/**
 * dma_buf_phys_vec_to_sgt() - Map device memory for an importer
 * @attach: the attachment of the importer; that it allows peer2peer is for
 *	&dma_buf_ops.attach of the exporter to check
 * @provider: what pcim_p2pdma_provider() returned for the BAR that the memory
 *	is in, which may be %NULL
 * @phys_vec: the physical ranges of the memory, in the order in which the
 *	importer is to see them; they may overlap, and are not kept
 * @nr_ranges: the number of ranges in @phys_vec
 * @size: the sum of the lengths of the ranges, in bytes
 * @dir: what the importer does with the memory
 *
 * For &dma_buf_ops.map_dma_buf of an exporter whose memory is in a PCI BAR and
 * has no struct pages. The memory must stay where it is until it is unmapped.
 *
 * How the memory is mapped depends on the route between the two devices. If
 * both are below one PCI switch and it may route between them, the list holds
 * bus addresses. If the route leads through the host bridge, an IOMMU maps all
 * ranges one after the other into one range of I/O virtual addresses, or, if
 * none of that size is free, each by itself; without an IOMMU each range is
 * mapped by itself as MMIO. An exporter that must not have its memory reached
 * through the host bridge has to ask pci_p2pdma_map_type() before.
 *
 * The list has one entry per range, or one for all if they share an IOVA range.
 * An entry that would be larger than 2 GiB, or than dma_get_max_seg_size() or
 * dma_get_seg_boundary() of the importer allow, is split at multiples of the
 * largest power of two that they do allow. Addresses and lengths are aligned to
 * PAGE_SIZE. There is no CPU side: importers may use nothing but
 * for_each_sgtable_dma_sg(), sg_dma_address() and sg_dma_len(). &sg_table.nents
 * is the number of entries and &sg_table.orig_nents is 0.
 *
 * The time that this takes, and the memory, grow linearly with the number of
 * ranges and entries. Importers of large memory should dma_set_max_seg_size():
 * what PCI devices start with, 64 KiB, makes 16,384 entries of a GiB.
 *
 * Context: Process context, may sleep. The caller holds the reservation lock of
 * the dma-buf.
 *
 * Return: the scatterlist, to be handed to dma_buf_free_sgt() with the same
 * @attach and @dir, or an ERR_PTR(), in which case nothing is left to undo:
 *
 * * %-EINVAL: there is no provider; there are no ranges; a range is empty, ends
 *   behind the last address or is not aligned to PAGE_SIZE; the lengths do not
 *   add up to @size, add up to more than %SSIZE_MAX, or make more than %INT_MAX
 *   entries; the importer takes no entry as large as a page
 * * %-EREMOTEIO: the importer cannot reach the memory: no PCI route leads there,
 *   or its bus address is out of the DMA mask
 * * %-ENOMEM: out of memory or of I/O virtual addresses; or, without an IOMMU,
 *   the memory is out of the DMA mask
 * * any error of dma_iova_link() or dma_iova_sync()
 */
struct sg_table *dma_buf_phys_vec_to_sgt(struct dma_buf_attachment *attach,
					 struct p2pdma_provider *provider,
					 struct phys_vec *phys_vec,
					 size_t nr_ranges, size_t size,
					 enum dma_data_direction dir)
{
	struct device *dev = attach->dev;
	enum pci_p2pdma_map_type type;
	struct dma_buf_dma *dma;
	size_t alignment;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!provider || !ranges_valid(phys_vec, nr_ranges, size))
		return ERR_PTR(-EINVAL);

	alignment = entry_alignment(dev);
	if (alignment < PAGE_SIZE)
		return ERR_PTR(-EINVAL);

	type = pci_p2pdma_map_type(provider, dev);
	if (type != PCI_P2PDMA_MAP_BUS_ADDR &&
	    type != PCI_P2PDMA_MAP_THRU_HOST_BRIDGE)
		return ERR_PTR(-EREMOTEIO);

	dma = kzalloc(sizeof(*dma), GFP_KERNEL);
	if (!dma)
		return ERR_PTR(-ENOMEM);

	/* Nothing is known to be mapped there yet, so there is no offset. */
	if (type == PCI_P2PDMA_MAP_THRU_HOST_BRIDGE)
		dma_iova_try_alloc(dev, &dma->state, 0, size);

	ret = alloc_entries(dma, provider, type == PCI_P2PDMA_MAP_BUS_ADDR,
			    phys_vec, nr_ranges, size, alignment);
	if (ret)
		goto err_free_iova;

	if (type == PCI_P2PDMA_MAP_BUS_ADDR)
		ret = bus_ranges(dev, dma, provider, phys_vec, nr_ranges,
				 alignment);
	else if (dma_use_iova(&dma->state))
		ret = link_ranges(dev, dma, phys_vec, nr_ranges, alignment, dir);
	else
		ret = map_ranges(dev, dma, phys_vec, nr_ranges, alignment, dir);
	if (ret)
		goto err_free_entries;

	/* Whoever looks for pages finds an empty list. */
	dma->sgt.orig_nents = 0;
	return &dma->sgt;

err_free_entries:
	free_entries(&dma->sgt);
err_free_iova:
	if (dma_use_iova(&dma->state))
		dma_iova_free(dev, &dma->state);
	kfree(dma);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_vec_to_sgt, "DMA_BUF");

/**
 * dma_buf_free_sgt() - Unmap device memory that was mapped for an importer
 * @attach: the attachment that the memory was mapped for
 * @sgt: what dma_buf_phys_vec_to_sgt() returned; it is gone afterwards
 * @dir: the direction that the memory was mapped with
 *
 * For &dma_buf_ops.unmap_dma_buf. The device of the importer must not use the
 * addresses any more. Unmapping the last mapping of a dma-buf that was revoked
 * is what gives the memory back to the exporter.
 *
 * Context: Process context, may sleep. The caller holds the reservation lock of
 * the dma-buf.
 */
void dma_buf_free_sgt(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	struct dma_buf_dma *dma = container_of(sgt, struct dma_buf_dma, sgt);

	dma_resv_assert_held(attach->dmabuf->resv);

	if (dma_use_iova(&dma->state))
		dma_iova_destroy(attach->dev, &dma->state,
				 dma_iova_size(&dma->state), dir, DMA_ATTR_MMIO);
	else if (dma->mapped)
		unmap_entries(attach->dev, dma, dir);

	free_entries(sgt);
	kfree(dma);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_free_sgt, "DMA_BUF");

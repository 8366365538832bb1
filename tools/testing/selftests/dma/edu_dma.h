/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User interface of the edu_dma test module: map user memory for DMA by QEMU's
 * "edu" PCI device, and let the device read and write that memory.
 *
 * Every device is a /dev/edu_dmaN, in the order in which the devices are found.
 * This is an interface for tests, not for production, and it is not stable.
 *
 * The device has a property of its own, dma_mask, which it applies to addresses
 * without telling anyone; it is 28 bits unless QEMU is told otherwise. A mapping
 * with more &edu_dma_map.dma_bits than that makes the device access the wrong
 * memory. Create the device with "-device edu,dma_mask=0xffffffffffffffff", and
 * choose the mask of the driver for each mapping.
 */
#ifndef EDU_DMA_H
#define EDU_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The longest mapping, in bytes. */
#define EDU_DMA_MAX_LENGTH	(64U << 20)

/*
 * The longest transfer, in bytes. Half of the device's buffer: QEMU up to and
 * including 7.2 takes a transfer that ends with the buffer for one that goes
 * beyond it, and kills the virtual machine.
 */
#define EDU_DMA_MAX_TRANSFER	2048U

/* Flags of struct edu_dma_map. */

/* Map one page with dma_map_page_attrs(), not a list with dma_map_sgtable(). */
#define EDU_DMA_MAP_PAGE	0x1U

/* Directions of struct edu_dma_transfer. */
#define EDU_DMA_TO_DEVICE	0U	/* the device reads memory */
#define EDU_DMA_FROM_DEVICE	1U	/* the device writes memory */

/**
 * struct edu_dma_map - argument of %EDU_DMA_MAP: map user memory for the device
 * @addr: in: where the memory begins; needs no alignment
 * @length: in: its length in bytes, 1 to %EDU_DMA_MAX_LENGTH
 * @attrs: in: DMA_ATTR_* bits, handed to the DMA API as they are
 * @dma_bits: in: the width of the device's DMA mask, 1 to 64; one device has one
 *	mask, so all mappings which exist at a time must have the same
 * @flags: in: %EDU_DMA_MAP_PAGE or 0
 * @handle: out: names the mapping, within this open file; meaningless after an
 *	error
 * @pad: must be 0
 *
 * The mapping is bidirectional. It lives until %EDU_DMA_UNMAP, until the file is
 * closed, or until the device goes away. Mappings may overlap, but a kernel with
 * CONFIG_DMA_API_DEBUG reports it, unless @attrs say that they are meant to.
 *
 * Errors:
 *
 * - E2BIG: @length is above %EDU_DMA_MAX_LENGTH
 * - EBUSY: the device has mappings with another mask
 * - EFAULT: there is no memory at the address, or it cannot be written
 * - EINVAL: no length, an unknown flag, a @pad which is not 0, a @dma_bits out of
 *   range, addresses that wrap, or, with %EDU_DMA_MAP_PAGE, more than one page
 * - EIO: dma_map_page_attrs() returned DMA_MAPPING_ERROR
 * - ENODEV: the device went away
 * - ENXIO: the machine cannot serve a device with such a mask
 *
 * and whatever dma_map_sgtable() returns.
 */
struct edu_dma_map {
	__u64 addr;
	__u64 length;
	__u64 attrs;
	__u32 dma_bits;
	__u32 flags;
	__u32 handle;
	__u32 pad;
};

/**
 * struct edu_dma_transfer - argument of %EDU_DMA_TRANSFER: let the device read
 *	or write mapped memory
 * @handle: in: the mapping
 * @direction: in: %EDU_DMA_TO_DEVICE or %EDU_DMA_FROM_DEVICE
 * @offset: in: where to begin, in bytes from the beginning of the mapping
 * @length: in: the number of bytes, 1 to %EDU_DMA_MAX_TRANSFER
 * @pad: must be 0
 *
 * Both directions begin at the beginning of the device's buffer, so the device
 * writes what it read last. The call returns when the device is done, which takes
 * 0.1 s for every DMA segment that the transfer touches.
 *
 * Errors:
 *
 * - EINVAL: no length or too much of it, an unknown direction, a @pad which is
 *   not 0, or bytes outside the mapping
 * - EIO: an earlier transfer timed out
 * - ENODEV: the device went away
 * - ENOENT: there is no such mapping
 * - ETIMEDOUT: the device did not finish; it will not be used again
 */
struct edu_dma_transfer {
	__u32 handle;
	__u32 direction;
	__u64 offset;
	__u32 length;
	__u32 pad;
};

/**
 * struct edu_dma_unmap - argument of %EDU_DMA_UNMAP: take a mapping down
 * @handle: in: the mapping
 * @pad: must be 0
 *
 * Errors:
 *
 * - EINVAL: @pad is not 0
 * - ENODEV: the device went away, and the mapping with it
 * - ENOENT: there is no such mapping
 */
struct edu_dma_unmap {
	__u32 handle;
	__u32 pad;
};

#define EDU_DMA_MAP		_IOWR(0xED, 0, struct edu_dma_map)
#define EDU_DMA_TRANSFER	_IOW(0xED, 1, struct edu_dma_transfer)
#define EDU_DMA_UNMAP		_IOW(0xED, 2, struct edu_dma_unmap)

#endif /* EDU_DMA_H */

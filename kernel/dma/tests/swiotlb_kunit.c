// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the last line of defence of DMA_ATTR_REQUIRE_COHERENT.
 *
 * A mapping path refuses a mapping that has to be coherent before it asks for
 * a bounce buffer. These tests stand in for a path that forgets to, and call
 * swiotlb_map() the way the direct mapping does.
 *
 * The refusal warns once per boot, so that one warning with a backtrace is
 * expected from this suite.
 */

#include <kunit/device.h>
#include <kunit/dma.h>
#include <kunit/test.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/swiotlb.h>

struct swiotlb_ctx {
	struct device *dev;
	struct page *page;
};

static void refuses_slot_for_coherent_mapping(struct kunit *test)
{
	struct swiotlb_ctx *ctx = test->priv;
	unsigned long slots = kunit_dma_slots(ctx->dev);
	int i;

	/* Twice: the warning comes once, the refusal every time. */
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, DMA_MAPPING_ERROR,
				swiotlb_map(ctx->dev, page_to_phys(ctx->page),
					    PAGE_SIZE, DMA_BIDIRECTIONAL,
					    DMA_ATTR_REQUIRE_COHERENT));
		KUNIT_EXPECT_EQ(test, kunit_dma_slots(ctx->dev), slots);
	}
}

static void gives_slot_without_attribute(struct kunit *test)
{
	struct swiotlb_ctx *ctx = test->priv;
	unsigned long slots = kunit_dma_slots(ctx->dev);
	phys_addr_t phys;
	dma_addr_t addr;

	addr = swiotlb_map(ctx->dev, page_to_phys(ctx->page), PAGE_SIZE,
			   DMA_BIDIRECTIONAL, 0);
	KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);

	phys = dma_to_phys(ctx->dev, addr);
	KUNIT_EXPECT_NE(test, phys, page_to_phys(ctx->page));
	KUNIT_EXPECT_NOT_NULL(test, swiotlb_find_pool(ctx->dev, phys));

	swiotlb_tbl_unmap_single(ctx->dev, phys, PAGE_SIZE, DMA_BIDIRECTIONAL,
				 0);
	KUNIT_EXPECT_EQ(test, kunit_dma_slots(ctx->dev), slots);
}

/*
 * That a refusal takes no slot is shown only where slots are counted. Skipping
 * overrides a failure, so this is a case without expectations.
 */
static void slots_in_use_are_counted(struct kunit *test)
{
	struct swiotlb_ctx *ctx = test->priv;
	unsigned long slots = kunit_dma_slots(ctx->dev), slots_mapped;
	dma_addr_t addr;

	addr = swiotlb_map(ctx->dev, page_to_phys(ctx->page), PAGE_SIZE,
			   DMA_BIDIRECTIONAL, 0);
	KUNIT_ASSERT_NE(test, addr, DMA_MAPPING_ERROR);
	slots_mapped = kunit_dma_slots(ctx->dev);
	swiotlb_tbl_unmap_single(ctx->dev, dma_to_phys(ctx->dev, addr),
				 PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
	if (slots_mapped == slots)
		kunit_skip(test, "no slots counted: boot with swiotlb=track_hiwater");
}

KUNIT_DEFINE_ACTION_WRAPPER(free_page_action, __free_page, struct page *);

static int swiotlb_init_case(struct kunit *test)
{
	struct swiotlb_ctx *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->dev = kunit_device_register(test, "swiotlb-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->dev);
	KUNIT_ASSERT_EQ(test, 0, dma_coerce_mask_and_coherent(ctx->dev,
							      DMA_BIT_MASK(64)));
	if (!is_swiotlb_active(ctx->dev))
		kunit_skip(test, "SWIOTLB has no memory on this machine");

	ctx->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, ctx->page);

	return kunit_add_action_or_reset(test, free_page_action, ctx->page);
}

static struct kunit_case swiotlb_cases[] = {
	KUNIT_CASE(gives_slot_without_attribute),
	KUNIT_CASE(slots_in_use_are_counted),
	KUNIT_CASE(refuses_slot_for_coherent_mapping),
	{}
};

static struct kunit_suite swiotlb_suite = {
	.name = "swiotlb",
	.init = swiotlb_init_case,
	.test_cases = swiotlb_cases,
};

kunit_test_suite(swiotlb_suite);

MODULE_DESCRIPTION("KUnit tests for the SWIOTLB check of DMA_ATTR_REQUIRE_COHERENT");
MODULE_LICENSE("GPL");

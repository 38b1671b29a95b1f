/* test_slots.c - slots.h */
#include "slots.h"
#include <criterion/criterion.h>
#include <signal.h>

Test(slots, gives_dense_numbers_and_recycled_ones_again)
{
	struct slots s = {0};
	bool again[1000] = {0};

	for (uint32_t i = 0; i < 1000; i++)
		cr_assert(slots_take(&s) == i);
	for (uint32_t i = 0; i < 1000; i += 2)
		slots_recycle(&s, i);
	for (uint32_t i = 0; i < 500; i++) {
		uint32_t slot = slots_take(&s);

		cr_assert(slot < 1000 && slot % 2 == 0 && !again[slot], "%u", slot);
		again[slot] = true;
	}
	cr_expect(slots_take(&s) == 1000);
	slots_fini(&s);
	cr_expect(s.spare == NULL && s.next == 0);
}

Test(slots, refuses_a_number_it_never_gave, .signal = SIGABRT)
{
	struct slots s = {0};

	slots_take(&s);
	slots_recycle(&s, 1);
}

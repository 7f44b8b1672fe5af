package delivery

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/record"
)

// What a hook gets is what the event of the same name has as its data.
func TestHooks_EventsHaveTheJSONOfOperations(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]any{
		{SubscriptionEvent{}, record.SubscriptionEvent{}},
		{DeliveryEvent{}, record.DeliveryEvent{}},
	} {
		public, written := reflect.TypeOf(pair[0]), reflect.TypeOf(pair[1])
		require.Equal(t, written.NumField(), public.NumField())
		for i := range public.NumField() {
			require.Equal(t, written.Field(i).Tag, public.Field(i).Tag, public.Field(i).Name)
		}
	}
}

package delivery_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// A checker hangs for one owner of many, and an externalizer for one dialect, until those who
// do not need them have their requests.
func TestExpand_AHostCallThatHangsDelaysOnlyThoseWhoNeedIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	checkers, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, checkers.RegisterDefault(access.CheckerFunc(func(ctx context.Context, r access.Request) error {
		if r.Principal == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})))
	b.cfg.Access.Registry = checkers
	b.cfg.Externalize.Registry = &delivery.Externalizers{}
	require.NoError(t, b.cfg.Externalize.Registry.Register("hub", "", "**",
		func(ctx context.Context, ev dialect.Event) ([]byte, error) {
			select {
			case <-release:
				return ev.Data, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}))
	free, owned := b.receiver(nil), b.receiver(nil)
	checked, made := b.receiver(nil), b.receiver(&deliverytest.ReceiverConfig{Verifier: verifiers["hub"]})
	b.subscribe(free, operatorOnly)
	b.subscribe(owned, nil)
	for range 10 {
		b.subscribe(checked, func(spec *subscription.Spec) { spec.Owner = "slow" })
	}
	b.subscribe(made, func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Dialect = "hub"
	})
	b.start(b.engine(nil))
	id := b.enqueue(nil)

	b.wait(free, 1)
	b.wait(owned, 1)
	require.Empty(t, checked.Requests())
	require.Empty(t, made.Requests())
	close(release)
	b.wait(checked, 10)
	b.wait(made, 1)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 13
	})

	require.Len(t, free.Requests(), 1)
	require.Len(t, owned.Requests(), 1)
	require.Len(t, made.Requests(), 1)
	require.NoError(t, made.Err())
	require.Empty(t, b.decisions(id))
}

// Hooks for one subscription hang until others are delivered, deactivated and maintained.
func TestHooks_OneThatHangsDelaysNoDeliveryAndNoMaintenance(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	entered := make(chan struct{}, 1000)
	hang := func(ctx context.Context) {
		entered <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	b.cfg.Hooks = delivery.Hooks{
		DeliveryDelivered:       func(ctx context.Context, _ delivery.DeliveredEvent) { hang(ctx) },
		SubscriptionDeactivated: func(ctx context.Context, _ delivery.SubscriptionEvent) { hang(ctx) },
	}
	gone, taking := b.always(deliverytest.Answer{Status: http.StatusGone}), b.receiver(nil)
	first := b.subscribe(gone, func(spec *subscription.Spec) { spec.Events = []string{"gone.event"} })
	second := b.subscribe(gone, func(spec *subscription.Spec) { spec.Events = []string{"gone.again"} })
	b.subscribe(taking, nil)
	b.start(b.engine(nil))
	defer close(release)

	b.enqueue(func(in *outbox.Intent) { in.Type = "gone.event" })
	<-entered
	b.eventually(func() bool { return b.subscription(first.ID).State == subscription.StateDeactivated })
	b.enqueueMany("user.created", 20)
	b.wait(taking, 21)
	b.enqueue(func(in *outbox.Intent) { in.Type = "gone.again" })

	b.eventually(func() bool { return b.subscription(second.ID).State == subscription.StateDeactivated })
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 22
	})
}

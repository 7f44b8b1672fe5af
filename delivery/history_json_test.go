package delivery_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/manifest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/subscription"
)

// fill sets each field that JSON can have, so that no omitempty hides a name.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				fill(field)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte("1"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	default: // JSON shows it, or not, as it is
	}
}

// names calls see with each name of an object within a decoded value.
func names(v any, see func(name string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			see(name)
			names(value, see)
		}
	case []any:
		for _, value := range v {
			names(value, see)
		}
	}
}

func TestJSON_OfEachRecordIsSnakeCase(t *testing.T) {
	t.Parallel()
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	for _, record := range []any{
		&access.Action{}, &access.Request{},
		&delivery.Answer{}, &delivery.Attempt{}, &delivery.Delivery{}, &delivery.DeliveredEvent{}, &delivery.DeliveryEvent{},
		&delivery.DeliveryPage{}, &delivery.Explanation{}, &delivery.Health{}, &delivery.IntentPage{}, &delivery.IntentRecord{},
		&delivery.Message{}, &delivery.Pruned{}, &delivery.Question{}, &delivery.Stats{}, &delivery.SubscriptionEvent{},
		&dialect.Destination{}, &dialect.Event{}, &dialect.Message{}, &dialect.Request{},
		&subscription.Created{}, &subscription.ResealResult{}, &subscription.SecretInfo{}, &hierarchy.Site{},
		&hierarchy.SitePage{}, &subscription.Subscription{}, &subscription.Page{}, &subscription.Spec{},
		&subscription.Update{},
		&manifest.Plan{},
		&outbox.Erased{}, &outbox.EventType{}, &outbox.EventTypePage{}, &outbox.Intent{}, &outbox.Result{},
		&receiver.Event{}, &receiver.EventPage{}, &receiver.EventRecord{}, &receiver.Response{}, &receiver.Status{},
	} {
		fill(reflect.ValueOf(record).Elem())
		text, err := json.Marshal(record)
		require.NoError(t, err, "%T", record)
		var decoded any
		require.NoError(t, json.Unmarshal(text, &decoded))
		seen := 0
		names(decoded, func(name string) {
			seen++
			require.Regexp(t, snake, name, "%T: %s", record, text)
		})
		require.Positive(t, seen, "%T", record)
	}
}

// The names are there to be relied on.
func TestJSON_OfASubscription(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(subscription.Subscription{
		ID:            uuid.Nil,
		Owner:         "ada",
		URL:           "https://ada:hunter2@example.com/",
		PendingURL:    "https://example.com/?hunter2",
		Timeout:       time.Second,
		OwnRootCAs:    true,
		SecretHeaders: map[string]string{"X-Key": "hunter2"},
	})
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, "ada", got["owner"])
	require.Equal(t, "https://redacted@example.com/", got["url"])
	require.Equal(t, "https://example.com/?redacted", got["pending_url"])
	require.InDelta(t, float64(time.Second), got["timeout_ns"], 0)
	require.Equal(t, true, got["own_root_cas"])
	require.Equal(t, map[string]any{"X-Key": "[redacted]"}, got["secret_headers"])
}

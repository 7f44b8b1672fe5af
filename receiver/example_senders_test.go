package receiver_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"

	"github.com/riverhook/riverhook/receiver"
)

// Amazon SNS sends JSON as text/plain, and wants its subscription confirmed. The token in
// the URL says who sends.
func Example_sns() {
	confirm := func(_ context.Context, address string) error { // an http.Client's GET
		fmt.Println("confirmed by", address)
		return nil
	}
	token, hash := receiver.NewToken()
	receivers, err := receiver.NewRegistry(receiver.Receiver{
		Name:       "sns",
		Raw:        true,
		Sync:       true,
		Tokens:     receiver.StaticTokens{"alarms": hash},
		DeliveryID: func(h http.Header, _ []byte) string { return h.Get("X-Amz-Sns-Message-Id") },
		Func: func(ctx context.Context, ev receiver.Event) (receiver.Response, error) {
			var message struct{ Type, Message, SubscribeURL string }
			if err := ev.JSON(&message); err != nil {
				return receiver.Response{}, fmt.Errorf("%w: %w", receiver.ErrPermanent, err)
			}
			if message.Type != "SubscriptionConfirmation" {
				fmt.Println(message.Message)
				return receiver.Response{}, nil
			}
			at, err := url.Parse(message.SubscribeURL)
			if err != nil || at.Scheme != "https" || !strings.HasSuffix(at.Hostname(), ".amazonaws.com") {
				return receiver.Response{}, fmt.Errorf("%w: not a URL of Amazon's", receiver.ErrPermanent)
			}
			return receiver.Response{}, confirm(ctx, at.Host)
		},
	})
	if err != nil {
		panic(err)
	}
	inbox := receiver.NewMemory(receivers)
	defer inbox.Close()
	handler, err := receiver.NewHandler(receivers, inbox, &receiver.Config{
		BaseURL: "https://app.example.com/hooks", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	for id, body := range []string{
		`{"Type":"SubscriptionConfirmation","SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"}`,
		`{"Type":"SubscriptionConfirmation","SubscribeURL":"https://127.0.0.1/?amazonaws.com"}`,
		`{"Type":"Notification","Message":"the disk is full"}`,
	} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/hooks/sns/"+token, strings.NewReader(body))
		r.Header.Set("Content-Type", "text/plain; charset=UTF-8")
		r.Header.Set("X-Amz-Sns-Message-Id", strconv.Itoa(id))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// confirmed by sns.eu-west-1.amazonaws.com
	// 201
	// 500
	// the disk is full
	// 201
}

// SharePoint and Microsoft Graph send a token when a subscription is made, and want it back.
func Example_sharePoint() {
	answersValidation := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, values := range r.URL.Query() {
				if r.Method == http.MethodPost && strings.EqualFold(name, "validationtoken") && len(values[0]) <= 1024 {
					w.Header().Set("Content-Type", "text/plain; charset=utf-8")
					w.Header().Set("X-Content-Type-Options", "nosniff") // it is whatever was sent
					_, _ = io.WriteString(w, values[0])
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
	token, hash := receiver.NewToken()
	receivers, err := receiver.NewRegistry(receiver.Receiver{
		Name:   "sharepoint",
		Sync:   true,
		Tokens: receiver.StaticTokens{"lists": hash},
		Func: func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
			var notification struct {
				Value []struct{ ClientState, Resource string }
			}
			if err := ev.JSON(&notification); err != nil {
				return receiver.Response{}, err
			}
			for _, change := range notification.Value {
				if change.ClientState != "what was said when the subscription was made" {
					return receiver.Response{}, receiver.ErrPermanent
				}
				fmt.Println("changed:", change.Resource)
			}
			return receiver.Response{Status: http.StatusOK}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	inbox := receiver.NewMemory(receivers)
	defer inbox.Close()
	handler, err := receiver.NewHandler(receivers, inbox, &receiver.Config{BaseURL: "https://app.example.com/hooks"})
	if err != nil {
		panic(err)
	}
	hooks := answersValidation(handler)
	for query, body := range map[string]string{
		"?validationtoken=a%20b": "",
		"":                       `{"value":[{"clientState":"what was said when the subscription was made","resource":"list 7"}]}`,
	} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/hooks/sharepoint/"+token+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		hooks.ServeHTTP(w, r)
		if query != "" {
			fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	// Unordered output:
	// 200 text/plain; charset=utf-8 a b
	// changed: list 7
}

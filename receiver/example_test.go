package receiver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/riverhook/riverhook/receiver"
)

// A receiver whose senders know a token, and what they are answered.
func Example() {
	token, hash := receiver.NewToken()
	receivers, err := receiver.NewRegistry(receiver.Receiver{
		Name:   "orders",
		Sync:   true,
		Tokens: receiver.StaticTokens{"ann": hash},
		Func: func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
			fmt.Printf("%s's: %s\n", ev.Owner, ev.Body)
			return receiver.Response{}, nil
		},
		DeliveryID: func(h http.Header, _ []byte) string { return h.Get("X-Order") },
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
	url, err := handler.HookURL("orders", token)
	if err != nil {
		panic(err)
	}
	for range 2 {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(`{"total":7}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Order", "42")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// ann's: {"total":7}
	// 201
	// 201
}

// A gate that says no to a question, and the answer from which who asks learns why.
func ExampleCancel() {
	token, hash := receiver.NewToken()
	receivers, err := receiver.NewRegistry(receiver.Receiver{
		Name:   "gate",
		Sync:   true,
		Tokens: receiver.StaticTokens{"legal": hash},
		Func: func(context.Context, receiver.Event) (receiver.Response, error) {
			return receiver.Cancel("a legal hold is on the record"), nil
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
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/hooks/gate/"+token,
		strings.NewReader(`{"type":"before:user.delete"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 200 application/vnd.riverhook.cancel+json
	// {"reason":"a legal hold is on the record"}
}

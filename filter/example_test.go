package filter_test

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/filter"
)

func Example() {
	p, err := filter.Compile(`type == "order.paid" && data.total > 100`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, data := range []string{`{"total": 250}`, `{"total": 99.5}`, `{"items": []}`} {
		matches, err := p.Matches(context.Background(), &filter.Event{Type: "order.paid", Data: []byte(data)})
		fmt.Println(matches, err)
	}
	fmt.Println(filter.Check(`data.total > 100 && knd == "invoice"`))
	// Output:
	// true <nil>
	// false <nil>
	// false line 1, column 29: no such key
	// line 1, column 21: undeclared reference to 'knd'
}

package event_test

import (
	"fmt"

	"github.com/riverhook/riverhook/event"
)

func ExampleMatchPattern() {
	for _, pattern := range []string{"user.role.added", "user.*", "user.**", "**"} {
		fmt.Println(pattern, event.MatchPattern(pattern, "user.role.added"))
	}
	// Output:
	// user.role.added true
	// user.* false
	// user.** true
	// ** true
}

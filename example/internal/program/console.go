package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Console prints for people, or for programs: then only the report goes to
// standard output.
type Console struct {
	JSON     bool
	Out, Err io.Writer

	failed error // the first line that could not be printed
}

// Notef prints a line; with JSON to standard error.
func (c *Console) Notef(format string, args ...any) {
	to := c.Out
	if c.JSON {
		to = c.Err
	}
	c.linef(to, format, args...)
}

// Printf prints a line for people.
func (c *Console) Printf(format string, args ...any) {
	if !c.JSON {
		c.linef(c.Out, format, args...)
	}
}

// Act prints the head of an act and what it says.
func (c *Console) Act(number int, title, says string) {
	c.Printf("%s\nACT %d  %s", rule, number, title)
	for _, line := range wrap(says, tableWidth) {
		c.Printf("%s", line)
	}
	c.Printf("")
}

// Head prints the head of a part that is no act.
func (c *Console) Head(title string) { c.Printf("%s\n%s\n", rule, title) }

var rule = strings.Repeat("=", tableWidth)

func (c *Console) linef(to io.Writer, format string, args ...any) {
	if _, err := fmt.Fprintf(to, format+"\n", args...); err != nil && c.failed == nil {
		c.failed = err
	}
}

// end prints the problems, and a line or the whole report as JSON.
func (c *Console) end(program string, r Report) error {
	for _, problem := range r.Result().Problems {
		c.linef(c.Err, "%s: FAILED: %s", program, problem)
	}
	if c.JSON {
		enc := json.NewEncoder(c.Out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return errors.Join(c.failed, enc.Encode(r))
	}
	if r.Result().OK {
		c.Printf("%s", r)
	}
	return c.failed
}

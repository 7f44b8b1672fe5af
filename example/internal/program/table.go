package program

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tableWidth is what a table may take of a terminal's line.
const tableWidth = 96

const columnGap = 2

// Table is rows of text under a head. The last column takes what is left of the
// line and is wrapped.
type Table struct {
	rows [][]string
}

// NewTable returns a table of its head alone.
func NewTable(head ...string) *Table {
	return &Table{rows: [][]string{head}}
}

// Add adds a row.
func (t *Table) Add(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = fmt.Sprint(cell)
	}
	t.rows = append(t.rows, row)
}

// String implements fmt.Stringer. It ends with an end of line.
func (t *Table) String() string {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	last := len(widths) - 1
	taken := 0
	for _, width := range widths[:last] {
		taken += width + columnGap
	}
	widths[last] = max(min(widths[last], tableWidth-taken), 1)

	var b strings.Builder
	for i, row := range t.rows {
		writeRow(&b, row, widths)
		if i == 0 {
			lines := make([]string, len(widths))
			for j, width := range widths {
				lines[j] = strings.Repeat("-", width)
			}
			writeRow(&b, lines, widths)
		}
	}
	return b.String()
}

func writeRow(b *strings.Builder, row []string, widths []int) {
	last := len(widths) - 1
	for i, part := range wrap(row[last], widths[last]) {
		var line strings.Builder
		for j, width := range widths[:last] {
			cell := ""
			if i == 0 {
				cell = row[j]
			}
			line.WriteString(cell + strings.Repeat(" ", width-utf8.RuneCountInString(cell)+columnGap))
		}
		b.WriteString(strings.TrimRight(line.String()+part, " ") + "\n")
	}
}

// wrap breaks text into lines of at most width characters, between words, or
// within a word that is longer than a line.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		for utf8.RuneCountInString(word) > width {
			runes := []rune(word)
			if lines[len(lines)-1] != "" {
				lines = append(lines, "")
			}
			lines[len(lines)-1], word = string(runes[:width]), string(runes[width:])
		}
		last := len(lines) - 1
		switch {
		case lines[last] == "":
			lines[last] = word
		case utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width:
			lines[last] += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

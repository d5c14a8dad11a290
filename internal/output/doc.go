// Package output prints the data of commands to standard output, in the format
// that the user asked for.
//
// A record is printed twice over: its data as JSON (formats json and jsonl),
// and its cells in named columns (table and csv). Data of type json.RawMessage
// goes out with every number and string as it is spelled there.
//
// Only table is made for people: control characters and other runes that do not
// print are shown as escapes, so that foreign text cannot steer a terminal. The
// other formats are made for programs and give every value as it is. That holds
// for csv too: a cell that begins with =, +, - or @ is a formula to a
// spreadsheet, but a sign put before it would change phone numbers (+27…) and
// negative amounts for every program that reads the file. Who opens such a file
// in a spreadsheet imports its columns as text.
package output

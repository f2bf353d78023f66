// SPDX-License-Identifier: Apache-2.0
//! `--top`: a full-screen view that follows what services and servers do.

mod view;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cli::Exit;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::{cursor, execute, queue, style, terminal};

use self::view::{Key, Order, View};
use crate::args::{Line, Misuse};
use crate::fetch::{self, Failure};
use crate::options::Opt;
use crate::render::Labels;
use crate::request::Services;
use crate::session::{Session, Stop};

/// Shows services until somebody has seen enough.
///
/// # Errors
///
/// [`Stop`] when standard output is no terminal, or nobody answers at the beginning.
pub fn run(session: &mut Session<'_>, line: &Line) -> Result<Exit, Stop> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Misuse::line("--top needs a terminal; --list --rate prints once").into());
    }
    let labels = Labels(if line.has(Opt::Numeric) { None } else { Some(session.names) });
    let mut view = View::default();
    view.update(look(session)?);
    let ended = end_signals()?;
    let screen = Screen::open()?;
    let shown = watch(session, &mut view, labels, Duration::from_secs(line.interval.into()), &ended);
    screen.close()?;
    shown.map(|()| Exit::Done).map_err(Stop::from)
}

fn look(session: &mut Session<'_>) -> Result<Vec<sockopt::reply::ServiceEntry>, Failure> {
    fetch::services(session.ask, &Services { key: None, worker: None })
}

fn watch(
    session: &mut Session<'_>,
    view: &mut View,
    labels: Labels<'_>,
    interval: Duration,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut next = Instant::now() + interval;
    while !ended.load(Ordering::Relaxed) {
        draw(view, labels)?;
        // Short waits, so that a signal ends the view at once.
        let left = next.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
        if event::poll(left)?
            && let Event::Key(pressed) = event::read()?
            && let Some(key) = key(pressed)
            && !view.key(key)
        {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
            match look(session) {
                Ok(services) => view.update(services),
                Err(failure) => view.trouble(failure.to_string()),
            }
        }
    }
    Ok(())
}

fn draw(view: &View, labels: Labels<'_>) -> io::Result<()> {
    let (width, height) = terminal::size()?;
    let mut out = io::stdout().lock();
    for (at, line) in view.lines(width.into(), height.into(), labels).iter().enumerate() {
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        let clear = terminal::Clear(terminal::ClearType::UntilNewLine);
        queue!(out, cursor::MoveTo(0, at), style::Print(line), clear)?;
    }
    out.flush()
}

fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    Some(match pressed.code {
        KeyCode::Char('c') if pressed.modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('n') => Key::Order(Order::Name),
        KeyCode::Char('c') => Key::Order(Order::Conns),
        KeyCode::Char('p') => Key::Order(Order::Packets),
        KeyCode::Char('b') => Key::Order(Order::Bytes),
        KeyCode::Char('s') => Key::Servers,
        KeyCode::Down => Key::Scroll(1),
        KeyCode::Up => Key::Scroll(-1),
        KeyCode::PageDown => Key::Scroll(20),
        KeyCode::PageUp => Key::Scroll(-20),
        KeyCode::Home => Key::Scroll(isize::MIN),
        _ => return None,
    })
}

fn end_signals() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    Ok(ended)
}

/// The terminal, taken over. Dropping it gives it back as it was.
struct Screen;

impl Screen {
    fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Screen;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    fn close(self) -> io::Result<()> {
        give_back()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Giving it back twice does no harm, and nobody is left to hear of a terminal that is gone.
        let _ = give_back();
    }
}

fn give_back() -> io::Result<()> {
    execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show)?;
    terminal::disable_raw_mode()
}

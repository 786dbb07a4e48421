//! The volumes of an archive as one sequence of members with their packed data.

use std::io::{self, Read};

use crate::container::{Container, Spent};
use crate::error::{Error, Result};
use crate::header::{EndHeader, FileHeader, Header, MainHeader};
use crate::input::{Forward, Input};
use crate::limits::Limits;

/// A reader of one volume.
pub type VolumeReader = Box<dyn Read + Send>;

/// Opens the volumes of an archive, one after the other.
///
/// A closure from the volume's number, counted from 0, to its reader is one.
pub trait Volumes: Send {
    /// Opens a volume, numbered from 0. `None` if there is no such volume.
    fn open(&mut self, number: u64) -> io::Result<Option<VolumeReader>>;
}

impl<F: FnMut(u64) -> io::Result<Option<VolumeReader>> + Send> Volumes for F {
    fn open(&mut self, number: u64) -> io::Result<Option<VolumeReader>> {
        self(number)
    }
}

/// The archive of a single reader.
pub(crate) struct SingleVolume(pub(crate) Option<VolumeReader>);

impl Volumes for SingleVolume {
    fn open(&mut self, _: u64) -> io::Result<Option<VolumeReader>> {
        Ok(self.0.take())
    }
}

/// An archive whose members are read in order.
pub(crate) struct Archive {
    volumes: Box<dyn Volumes>,
    limits: Limits,
    container: Container<Forward<VolumeReader>>,
    /// Number of the current volume, from 0.
    number: u64,
    main: MainHeader,
    /// The header of the member's part in the current volume.
    part: Option<Box<FileHeader>>,
}

impl Archive {
    pub(crate) fn open(mut volumes: Box<dyn Volumes>, limits: Limits) -> Result<Self> {
        let (container, main) = open_volume(volumes.as_mut(), 0, &limits, Spent::default())?;
        Ok(Self { volumes, limits, container, number: 0, main, part: None })
    }

    pub(crate) fn main(&self) -> MainHeader {
        self.main
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The next member. What was not read of the one before is left out.
    pub(crate) fn next_member(&mut self) -> Result<Option<Box<FileHeader>>> {
        while self.next_part()? {}
        self.part = None;
        loop {
            match self.container.next_header(&self.limits)? {
                Some(Header::File(file)) => {
                    if file.block.split_before {
                        return Err(self.split_error(&file, "its beginning is missing"));
                    }
                    self.part = Some(file.clone());
                    return Ok(Some(file));
                }
                Some(Header::End(EndHeader { has_next_volume: false, .. })) | None => return Ok(None),
                Some(Header::End(EndHeader { has_next_volume: true, .. })) => self.next_volume()?,
                Some(Header::Main(_)) => return Err(self.second_main_header()),
                Some(Header::Service(_) | Header::Unknown(_)) => {}
            }
        }
    }

    /// Adds `count` bytes of the member's packed data to `out`, over the ends of volumes. Returns how many they were:
    /// less only at the end of the data.
    pub(crate) fn append_packed(&mut self, out: &mut Vec<u8>, count: usize) -> Result<usize> {
        let mut wanted = count;
        while wanted > 0 {
            let left = usize::try_from(self.container.data_left()).unwrap_or(usize::MAX);
            if left == 0 && !self.next_part()? {
                break;
            }
            let now = left.min(wanted);
            self.container.append_data(out, now)?;
            wanted -= now;
        }
        Ok(count - wanted)
    }

    /// The header of the member's last part, whose checksums are those of the whole. Leaves out unread data.
    pub(crate) fn last_part(&mut self) -> Result<Option<Box<FileHeader>>> {
        while self.next_part()? {}
        Ok(self.part.take())
    }

    /// Goes to the member's part in the next volume, if it has one.
    fn next_part(&mut self) -> Result<bool> {
        let Some(part) = self.part.take_if(|part| part.block.split_after) else { return Ok(false) };
        // After the data of a member that continues, only service records and the end record can follow.
        loop {
            match self.container.next_header(&self.limits)? {
                Some(Header::End(EndHeader { has_next_volume: true, .. })) => break,
                Some(Header::Service(_) | Header::Unknown(_)) => {}
                _ => return Err(self.split_error(&part, "it continues, but the volume does not end there")),
            }
        }
        self.next_volume()?;
        loop {
            match self.container.next_header(&self.limits)? {
                Some(Header::File(next)) if next.block.split_before && next.name == part.name => {
                    if next.compression != part.compression || next.is_encrypted != part.is_encrypted {
                        return Err(self.split_error(&part, "its parts are packed differently"));
                    }
                    self.part = Some(next);
                    return Ok(true);
                }
                Some(Header::Service(_) | Header::Unknown(_)) => {}
                _ => return Err(self.split_error(&part, "it does not continue there")),
            }
        }
    }

    fn next_volume(&mut self) -> Result<()> {
        let number = self.number + 1;
        if number >= self.limits.volumes {
            return Err(Error::Limit { what: "volumes", limit: self.limits.volumes, got: number + 1 });
        }
        let (container, _) =
            open_volume(self.volumes.as_mut(), number, &self.limits, self.container.spent())?;
        self.container = container;
        self.number = number;
        Ok(())
    }

    fn split_error(&self, part: &FileHeader, reason: &'static str) -> Error {
        Error::Split { name: part.name_lossy(), number: self.number + 1, reason }
    }

    fn second_main_header(&self) -> Error {
        Error::Header { offset: self.container.offset(), reason: "a volume has a second main header" }
    }
}

/// Opens a volume and reads its main header.
fn open_volume(
    volumes: &mut dyn Volumes,
    number: u64,
    limits: &Limits,
    spent: Spent,
) -> Result<(Container<Forward<VolumeReader>>, MainHeader)> {
    let reader = volumes.open(number).map_err(Error::Read)?;
    let reader = reader.ok_or(Error::VolumeMissing { number: number + 1 })?;
    let mut container = Container::open(Input::new(Forward(reader)), limits, spent)?;
    let Some(Header::Main(main)) = container.next_header(limits)? else {
        return Err(Error::Header { offset: 0, reason: "the volume does not begin with a main header" });
    };
    let stated = main.volume_number.unwrap_or(0);
    if main.is_volume && stated != number {
        return Err(Error::VolumeOrder { expected: number + 1, got: stated.saturating_add(1) });
    }
    if !main.is_volume && number > 0 {
        return Err(Error::VolumeMissing { number: number + 1 });
    }
    Ok((container, main))
}
